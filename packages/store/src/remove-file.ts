/**
 * Files that go. Node's `rmSync` has no code for most of what can go wrong.
 *
 * @module
 */
import { unlinkSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";

/** Removes a file. One that is missing is removed already. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT")) throw error;
  }
}

/**
 * As {@link removeFile}, of something that means nothing any more: where it can not be removed now,
 * whoever finds it later does, and what has been done before is done all the same.
 */
export function tryRemoveFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is found again.
  }
}
