/**
 * Blobs as files of their own.
 *
 * @module
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

import {
  type ByteSource,
  ContentError,
  type Descriptor,
  hasErrorCode,
  type OpenContentOptions,
  verifyContent,
} from "@stowage/content";

import { fileFailure, guarded } from "./file-failure.ts";

const READ_BYTES = 256 * 1024;

/** Whether a file holds what a descriptor names. */
export async function isWhole(
  file: string,
  descriptor: Pick<Descriptor, "digest" | "size">,
): Promise<boolean> {
  try {
    // What is here already is read, since a damaged blob is to be mended and not to be kept.
    for await (const _ of verifyContent(readBlob(file, descriptor.digest), descriptor));
    return true;
  } catch {
    return false;
  }
}

/**
 * The bytes of a file; links are not followed.
 *
 * @param name - what is looked for, for the message that it is not there.
 */
export async function* readBlob(
  path: string,
  name: string,
  { signal, offset = 0 }: OpenContentOptions = {},
): ByteSource {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT", "ELOOP", "ENXIO")) throw fileFailure(error, path);
    throw new ContentError("ERR_CONTENT_NOT_FOUND", `${name}: not at ${path}`);
  }
  await using _file = file;
  for (let position = offset; ;) {
    signal?.throwIfAborted();
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const { bytesRead } = await guarded(path, () => file.read(buffer, 0, READ_BYTES, position));
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await folder.sync();
}
