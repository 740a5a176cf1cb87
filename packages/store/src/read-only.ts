/**
 * Stores on file systems that are mounted read-only: they can be looked at, and nothing else.
 *
 * @module
 */
import { accessSync, constants } from "node:fs";

import { hasErrorCode } from "@stowage/content";

/** Whether a file system is mounted read-only where `path` is; who may write to it plays no part. */
export function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return hasErrorCode(error, "EROFS");
  }
}
