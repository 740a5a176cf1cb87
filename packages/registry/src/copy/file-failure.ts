import { stat } from "node:fs/promises";

import { hasErrorCode } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";

/** What a failed system call at `path` means, as an error of ours; ours pass through. */
export function fileFailure(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  if (hasErrorCode(error, "ENOSPC", "EDQUOT")) {
    return new RegistryError("ERR_REGISTRY_NO_SPACE", `${path}: no space is left`, {
      cause: error,
      hint: "Make room, or copy to another disk; what was copied by then is not committed.",
    });
  }
  return new RegistryError("ERR_REGISTRY_FILE", `${path}: ${error.message}`, {
    cause: error,
    hint: "Check that the path is the right one, and that you may read and write there.",
  });
}

/** Runs a task on `path`, whose failures are told as {@link fileFailure} does. */
export async function guarded<Result>(path: string, task: () => Promise<Result>): Promise<Result> {
  try {
    return await task();
  } catch (error) {
    throw fileFailure(error, path);
  }
}

/**
 * Sees to it that there is something to copy from at `path`.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_NOT_FOUND`.
 */
export async function requireSource(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    if (!hasErrorCode(cause, "ENOENT", "ENOTDIR")) throw fileFailure(cause, path);
    throw new RegistryError("ERR_REGISTRY_NOT_FOUND", `${path}: there is nothing at this path`, {
      cause,
      hint: "Check the spelling of the path, and from where it starts.",
    });
  }
}
