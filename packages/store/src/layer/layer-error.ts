import { escapeText } from "@stowage/content";

import { errnoOf, systemError } from "../linux/libc.ts";
import { StoreError, type StoreErrorCode } from "../store-error.ts";

const OUT_OF_SPACE: readonly string[] = ["ENOSPC", "EDQUOT"];
const FAULTS_OF_LAYER: readonly string[] = [
  "E2BIG",
  "EEXIST",
  "EINVAL",
  "EISDIR",
  "ELOOP",
  "EMLINK",
  "ENAMETOOLONG",
  "ENOENT",
  "ENOTDIR",
  "EOVERFLOW",
  "ERANGE",
];

/**
 * Says in the store's terms that a system call failed for an entry.
 *
 * @param path - One character for each byte.
 */
export function entryError(syscall: string, path: string, errno: number): StoreError {
  const cause = systemError(syscall, undefined, errno);
  return new StoreError(codeOf(cause.code), `${showPath(path)}: ${cause.message}`, { cause });
}

/** An entry that a layer must not have. */
export function invalidEntry(path: string, message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", `${showPath(path)}: ${message}`);
}

/** Whether a call answered with this error. */
export function failedWith(result: number, code: string): boolean {
  return result < 0 && result === -errnoOf(code);
}

/** A path with one character for each byte, as text for a message. */
export function showPath(path: string): string {
  return escapeText(Buffer.from(path, "latin1").toString() || "/");
}

function codeOf(code: string): StoreErrorCode {
  if (OUT_OF_SPACE.includes(code)) return "ERR_STORE_NO_SPACE";
  if (code === "EXDEV") return "ERR_STORE_LAYER_ESCAPE";
  return FAULTS_OF_LAYER.includes(code) ? "ERR_STORE_INVALID_LAYER" : "ERR_STORE_IO";
}
