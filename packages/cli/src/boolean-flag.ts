import { UsageError } from "./usage-error.ts";

/** Reads a flag that takes `true` or `false`; `undefined` if it was not given. */
export function readBoolean(value: unknown, flag: string): boolean | undefined {
  if (value === undefined) return undefined;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new UsageError(`${flag} takes true or false`);
}
