/**
 * Makes files visible whole, and durable: written elsewhere, synced, renamed, directory synced.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** A file to publish. */
export interface FileToPublish {
  /** What it will be called; anything of that name is replaced. */
  readonly path: string;
  readonly bytes: string | Uint8Array;
  /** A directory of this process alone on the same file system. */
  readonly stagingDir: string;
}

/** Publishes a file. When it resolves, a power cut can not take it back. */
export async function publishFile(file: FileToPublish): Promise<void> {
  const temporary = join(file.stagingDir, randomName());
  try {
    await writeSyncedFile(temporary, file.bytes);
    await rename(temporary, file.path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(file.path));
}

/** Writes a new file and syncs it; its name is durable once its directory has been synced. */
export async function writeSyncedFile(path: string, bytes: string | Uint8Array): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(bytes);
  await file.sync();
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

/** A name that nothing else has. */
export function randomName(): string {
  return randomBytes(16).toString("hex");
}
