/**
 * Directories for what is not finished. Each is locked while its process lives, so that anybody
 * can tell what a dead one left behind.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { removeTree } from "./linux/tree.ts";
import { randomName } from "./publish-file.ts";
import { tryRemoveFile } from "./remove-file.ts";
import { tryAcquireLock } from "./store-lock.ts";

/** A private directory in the store; disposing of it removes what is still there. */
export interface Staging extends AsyncDisposable {
  readonly path: string;
}

/** @param parent - The staging directory of the store. */
export function openStaging(parent: string): Staging {
  for (;;) {
    const path = join(parent, randomName());
    const lock = tryAcquireLock(`${path}.lock`, "exclusive");
    // Another process that cleans up may have been quicker than the lock.
    if (lock === undefined) continue;
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
    let isOpen = true;
    return {
      path,
      async [Symbol.asyncDispose]() {
        if (!isOpen) return;
        isOpen = false;
        try {
          await removeTree(path);
          tryRemoveFile(lock.path);
        } catch {
          // What was to become of it has been done; the next opening tries again.
        } finally {
          lock[Symbol.dispose]();
        }
      },
    };
  }
}
