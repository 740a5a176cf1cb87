/**
 * Durations and sizes as people write them.
 *
 * @module
 */
import { UsageError } from "./usage-error.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const UNITS_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Milliseconds, from a number with `s`, `m`, `h`, `d` or `w`; `undefined` if there is no flag. */
export function readDuration(
  value: unknown,
  flag: string,
  usage = `${flag} takes a duration, as 90m, 12h or 30d`,
): number | undefined {
  return readQuantity(value, UNITS_MS, usage);
}

/** Bytes, from a number with `kB`, `MB`, `GiB` …, or alone; `undefined` if there is no flag. */
export function readSize(value: unknown, flag: string): number | undefined {
  return readQuantity(value, UNITS_BYTES, `${flag} takes a size, as 500MB or 20GiB`);
}

/** A whole number that is not negative; `undefined` if there is no flag. */
export function readCount(value: unknown, flag: string): number | undefined {
  return readQuantity(value, { "": 1 }, `${flag} takes a whole number`);
}

function readQuantity(
  value: unknown,
  units: Readonly<Record<string, number>>,
  usage: string,
): number | undefined {
  if (value === undefined) return undefined;
  const [, digits, unit] = (typeof value === "string" && /^(\d+)([A-Za-z]*)$/.exec(value)) || [];
  const size = unit === undefined || !Object.hasOwn(units, unit) ? undefined : units[unit];
  const quantity = size === undefined ? NaN : Number(digits) * size;
  if (!Number.isSafeInteger(quantity)) throw new UsageError(usage);
  return quantity;
}
