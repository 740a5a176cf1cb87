import { constants } from "node:fs";
import { open } from "node:fs/promises";

import { hasErrorCode } from "@stowage/content";

import { howToPermit } from "../internal/how-to-permit.ts";
import { type FailedLookaside, unavailable } from "../registries-d/lookaside-failure.ts";
import { PolicyError } from "../policy-error.ts";
import { tooLong } from "./signature-budget.ts";

/** The file of one signature; `undefined` only if there is none. */
export async function readSignatureFile(
  path: string,
  maxBytes: number,
  failed: FailedLookaside,
): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) throw unavailable("it is no plain file", failed);
    if (status.size > maxBytes) throw tooLong();
    const buffer = Buffer.alloc(status.size + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > status.size) throw unavailable("it changed while it was read", failed);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT")) return undefined;
    if (cause instanceof PolicyError) throw cause;
    if (hasErrorCode(cause, "EACCES", "EPERM")) {
      const hint = `${await howToPermit(path)}.`;
      throw unavailable("it may not be read by whoever this runs as", failed, hint);
    }
    throw unavailable("it cannot be read", { ...failed, cause });
  }
}
