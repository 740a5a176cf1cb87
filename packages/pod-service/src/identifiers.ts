/**
 * Checks of the IDs and names that callers bring.
 *
 * @module
 */
import { randomBytes } from "node:crypto";

import { escapeText } from "@stowage/content";

import { PodError, type PodErrorCode } from "./pod-error.ts";

const ID = /^[0-9a-f]{64}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$/;

/** A new container or pod ID. */
export function createID(): string {
  return randomBytes(32).toString("hex");
}

/** The ID that was asked for, or a new one. Throws `code` unless it is 64 lower-case hex digits. */
export function requireID(id: string | undefined, code: PodErrorCode): string {
  if (id === undefined) return createID();
  if (!ID.test(id)) throw new PodError(code, `"${escapeText(id)}": not an ID of 64 hex digits`);
  return id;
}

/**
 * Throws `code` unless `name` is 1 to 253 of `A-Za-z0-9_.-` and starts with a letter or digit, or
 * if it could be taken for an ID.
 */
export function requireName(name: string, code: PodErrorCode): string {
  if (!NAME.test(name) || ID.test(name)) {
    throw new PodError(
      code,
      `"${escapeText(name)}": a name is 1 to 253 of A-Za-z0-9_.-, starting with a letter or digit, and no ID`,
    );
  }
  return name;
}

/** Throws `ERR_POD_INVALID_ATTEMPT` unless `attempt` is an unsigned 32-bit number. */
export function requireAttempt(attempt: number = 0): number {
  if (!Number.isInteger(attempt) || attempt < 0 || attempt > 0xffff_ffff) {
    throw new PodError("ERR_POD_INVALID_ATTEMPT", `attempt ${attempt}: not a 32-bit count`);
  }
  return attempt;
}
