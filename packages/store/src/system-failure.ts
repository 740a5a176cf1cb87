/**
 * What failed system calls mean.
 *
 * @module
 */
import { hasErrorCode } from "@stowage/content";

import { StoreError } from "./store-error.ts";

/**
 * Says what a failed system call means for the store: `ERR_STORE_NO_SPACE`, `ERR_STORE_READ_ONLY`,
 * `ERR_STORE_TOO_MANY_FILES` or `ERR_STORE_IO`. Anything else passes untouched, such as a
 * {@link StoreError} or the reason of a signal. For whoever writes in a container's directories.
 *
 * @param subject - What was being done, as "blob sha256:… can not be written".
 */
export function asStoreError(error: unknown, subject: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") {
    return error;
  }
  const message = `${subject}: ${error.message}`;
  const options = { cause: error };
  if (hasErrorCode(error, "ENOSPC", "EDQUOT")) {
    return new StoreError("ERR_STORE_NO_SPACE", message, options);
  }
  if (hasErrorCode(error, "EROFS")) {
    return new StoreError("ERR_STORE_READ_ONLY", message, {
      ...options,
      hint: "The file system is mounted read-only: the store can be looked at. Mount it to write for anything more.",
    });
  }
  if (hasErrorCode(error, "EACCES", "EPERM")) {
    return new StoreError("ERR_STORE_READ_ONLY", message, {
      ...options,
      hint: "Check who owns the store's directories, or choose another root.",
    });
  }
  if (hasErrorCode(error, "EMFILE", "ENFILE")) {
    return new StoreError("ERR_STORE_TOO_MANY_FILES", message, options);
  }
  if (/^E[A-Z0-9]+$/.test(error.code)) return new StoreError("ERR_STORE_IO", message, options);
  return error;
}

/** Runs `action`, and rejects as {@link asStoreError} says. */
export async function reportFailures<Result>(
  subject: string,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw asStoreError(error, subject);
  }
}
