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
