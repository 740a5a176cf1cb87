import { constants } from "node:fs";
import { open } from "node:fs/promises";

import { escapeText, hasErrorCode } from "@stowage/content";

import { PolicyError } from "./policy-error.ts";
import { tooLong } from "./signature-budget.ts";

/** The file of one signature; `undefined` only if there is none. */
export async function readSignatureFile(
  path: string,
  maxBytes: number,
  statedIn?: string,
): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) throw unavailable(path, "it is no plain file", { statedIn });
    if (status.size > maxBytes) throw tooLong();
    const buffer = Buffer.alloc(status.size + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > status.size)
      throw unavailable(path, "it changed while it was read", { statedIn });
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT")) return undefined;
    if (cause instanceof PolicyError) throw cause;
    throw unavailable(path, "it cannot be read", { statedIn, cause });
  }
}

/** @param statedIn - File, line and key that name the location. */
export function unavailable(
  location: string,
  problem: string,
  { statedIn, cause }: { readonly statedIn?: string | undefined; readonly cause?: unknown } = {},
): PolicyError {
  const named = statedIn === undefined ? "" : ` This one is named in ${escapeText(statedIn)}.`;
  return new PolicyError(
    "ERR_POLICY_SIGNATURES_UNAVAILABLE",
    `${escapeText(location)}: ${problem}, so that nobody knows whether the image is signed`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: `Only a place that says that it has nothing (404, or no such file) has nothing.${named}`,
    },
  );
}
