import { type Compared, median } from "./compare.ts";
import type { RowResult } from "./rows.ts";

/** What a row says of itself before it has measured. */
export type RowSubject = Pick<
  RowResult,
  "cpuTarget" | "image" | "peer" | "place" | "row" | "target"
>;

/** What a comparison comes to. */
export function summarize(about: RowSubject, { ours, theirs, ratio, ratios }: Compared): RowResult {
  const oursRange = rangeOf(ours.map(({ milliseconds }) => milliseconds));
  const theirsRange = rangeOf(theirs.map(({ milliseconds }) => milliseconds));
  return {
    ...about,
    ratio,
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    oursMs: median(ours.map(({ milliseconds }) => milliseconds)),
    theirsMs: median(theirs.map(({ milliseconds }) => milliseconds)),
    oursRange,
    theirsRange,
    oursCpuMs: median(ours.map(({ cpuMs }) => cpuMs)),
    theirsCpuMs: median(theirs.map(({ cpuMs }) => cpuMs)),
    cpuRatio: median(ours.map(({ cpuMs }, at) => cpuMs / (theirs[at]?.cpuMs ?? Number.NaN))),
    oursPeakBytes: Math.max(...ours.map(({ peakBytes }) => peakBytes)),
    theirsPeakBytes: Math.max(...theirs.map(({ peakBytes }) => peakBytes)),
  };
}

/** A row without figures. */
export function failed(about: RowSubject, error: unknown): RowResult {
  const none = { ratio: Number.NaN, oursMs: Number.NaN, theirsMs: Number.NaN };
  const failure = error instanceof Error ? error.message : String(error);
  return { ...about, ...none, oursPeakBytes: 0, theirsPeakBytes: 0, failure };
}

/** Whether a row is as good as it should be, in every respect that it has a target for. */
export function isMet({ ratio, target, cpuRatio = 0, cpuTarget = Infinity }: RowResult): boolean {
  return ratio <= target && cpuRatio <= cpuTarget;
}

function rangeOf(values: readonly number[]): readonly [number, number] {
  return [Math.min(...values), Math.max(...values)];
}
