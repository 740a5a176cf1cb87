const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const TERM = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gu;
const DURATION = new RegExp(`^(?:${TERM.source})+$`, "u");
// Timers count no further.
const MAX_MILLISECONDS = 2 ** 31 - 1;

/** Milliseconds of a duration as Go writes it (`1.5s`, `1m30s`); `undefined` if it is none over 0. */
export function parseGoDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let sum = 0;
  for (const [, number = "", unit = ""] of text.matchAll(TERM)) {
    sum += Number(number) * (UNITS[unit] ?? 0);
  }
  return sum > 0 ? Math.min(sum, MAX_MILLISECONDS) : undefined;
}
