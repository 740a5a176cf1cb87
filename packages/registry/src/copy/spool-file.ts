import { randomBytes } from "node:crypto";
import { type FileHandle, open, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { ByteSource } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import { writeAll } from "./durable-file.ts";
import { guarded } from "./file-failure.ts";
import { writeBehind } from "./write-behind.ts";

/** Where what must be read twice is kept meanwhile, and how much of it there may be. */
export interface SpoolOptions {
  /** @defaultValue `TMPDIR`, or `/var/tmp`, which is no memory where `/tmp` is */
  readonly temporaryDirectory?: string | undefined;
  /** Bytes. @defaultValue 68_719_476_736 (64 GiB) */
  readonly maxBytes?: number | undefined;
}

/** The most that is spooled unless told, in bytes. */
export const MAX_SPOOL_BYTES: number = 64 * 1024 * 1024 * 1024;

// What others need of the disk meanwhile.
const RESERVE_BYTES = 64 * 1024 * 1024;
const CHECK_BYTES = 16 * 1024 * 1024;

/** The directory of spools. */
export function spoolDirectory(
  { temporaryDirectory }: SpoolOptions,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if (temporaryDirectory !== undefined) return temporaryDirectory;
  return env["TMPDIR"] || (process.platform === "linux" ? "/var/tmp" : tmpdir());
}

/** Opens a file without a name: it is gone with its descriptor, whatever ends this process. */
export async function openSpool(directory: string): Promise<FileHandle> {
  const path = join(directory, `.stowage-${randomBytes(8).toString("hex")}`);
  const file = await guarded(path, () => open(path, "wx+", 0o600));
  try {
    await guarded(path, () => rm(path));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Sees that a disk has room for so many bytes, and for what others need.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_NO_SPACE`
 */
export async function requireRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await guarded(directory, () => statfs(directory));
  if (bavail * bsize >= bytes + RESERVE_BYTES) return;
  const message = `${directory}: ${bavail * bsize} bytes are free, too few for ${bytes} more`;
  throw new RegistryError("ERR_REGISTRY_NO_SPACE", message, {
    hint: "Make room there, or name another directory with TMPDIR.",
  });
}

/**
 * Writes a source to a file, seeing to it that the disk has room for what comes.
 *
 * @returns the number of bytes.
 * @throws {@link RegistryError} `ERR_REGISTRY_TOO_LARGE` at the first byte over `maxBytes`;
 *   `ERR_REGISTRY_NO_SPACE`
 */
export async function fillSpool(
  file: FileHandle,
  source: ByteSource,
  { directory, maxBytes, from }: { directory: string; maxBytes: number; from: string },
): Promise<number> {
  return writeBehind(limited(source, { directory, maxBytes, from }), (chunks, position) =>
    guarded(directory, () => writeAll(file, chunks, position)),
  );
}

async function* limited(
  source: ByteSource,
  { directory, maxBytes, from }: { directory: string; maxBytes: number; from: string },
): ByteSource {
  let length = 0;
  let checked = 0;
  for await (const chunk of source) {
    length += chunk.byteLength;
    if (length > maxBytes) {
      const message = `${from}: more than ${maxBytes} bytes`;
      throw new RegistryError("ERR_REGISTRY_TOO_LARGE", message);
    }
    if (length > checked) {
      await requireRoom(directory, CHECK_BYTES);
      checked += CHECK_BYTES;
    }
    yield chunk;
  }
}
