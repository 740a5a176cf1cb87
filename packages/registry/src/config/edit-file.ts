import { open, readFile, realpath, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { guarded } from "../copy/file-failure.ts";
import { acquireFileLock } from "../file-lock.ts";
import { makeFolders } from "../make-folders.ts";
import { partialPath, removeDeadPartials } from "../partial-file.ts";

/** How {@link editFile} writes. */
export interface EditFileOptions {
  /** Permission bits of the new file, whatever the umask. */
  readonly mode: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Replaces a small file by what `edit` makes of its bytes: whole, synced, and one editor at a time
 * among our own processes. What one that was killed left goes first. Whoever reads meanwhile sees the old file or the new one. A symbolic
 * link stays one. Where `edit` returns nothing, nothing is written.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_FILE` or `ERR_REGISTRY_NO_SPACE` naming the file,
 *   `ERR_REGISTRY_BUSY` if another process edits it for more than 30 s.
 */
export async function editFile(
  path: string,
  edit: (bytes: Uint8Array | undefined) => Uint8Array | undefined,
  { mode, signal }: EditFileOptions,
): Promise<void> {
  const target = await guarded(path, () => followLink(path));
  const directory = dirname(target);
  await guarded(directory, () => makeFolders(directory, { mode: 0o700 }));
  // Other tools keep an empty `.lock` beside for ever, so ours has a name of its own.
  await using _lock = await guarded(target, () =>
    acquireFileLock(`${target}.stowage-lock`, { signal }),
  );
  await removeDeadPartials(directory);
  const bytes = edit(await guarded(target, () => readIfThere(target)));
  if (bytes !== undefined) await guarded(target, () => replace(target, bytes, mode));
}

async function replace(target: string, bytes: Uint8Array, mode: number): Promise<void> {
  const directory = dirname(target);
  const temporary = await partialPath(directory);
  try {
    {
      await using file = await open(temporary, "wx", 0o600);
      await file.writeFile(bytes);
      await file.chmod(mode);
      await file.sync();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await using parent = await open(directory, "r");
  await parent.sync();
}

async function followLink(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return path;
    throw error;
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
