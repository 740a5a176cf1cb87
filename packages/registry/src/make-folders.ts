import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

import { hasErrorCode } from "@stowage/content";

/**
 * Makes a folder and those above it that are not there. Node's own way tries for ever where a folder
 * takes no names, as those of procfs do.
 */
export async function makeFolders(path: string, options: { mode?: number } = {}): Promise<void> {
  try {
    await makeFolder(path, options);
  } catch (error) {
    const parent = dirname(path);
    if (!hasErrorCode(error, "ENOENT") || parent === path) throw error;
    await makeFolders(parent, options);
    await makeFolder(path, options);
  }
}

async function makeFolder(path: string, options: { mode?: number }): Promise<void> {
  try {
    await mkdir(path, options);
  } catch (error) {
    if (!hasErrorCode(error, "EEXIST") || !(await stat(path)).isDirectory()) throw error;
  }
}
