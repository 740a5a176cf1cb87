import type { GrowthPoint } from "./growth-curves.ts";

/** Curves up to this exponent count as linear; what is above 1 is what noise may add. */
export const LINEAR_EXPONENT = 1.1;

const LEAST_POINTS = 3;
const MOST_FIXED = 0.9;

/**
 * The exponent by which time grows with size, once what any size costs is taken away: the slope of
 * the straight line that fits best, by least squares, through the logarithms of time and size, over
 * the upper half of the sizes, and at least three.
 *
 * What any size costs is where the straight line through the two smallest would meet size 0, unless
 * it is given, in milliseconds. It is taken to be at most nine tenths of the least time, so that
 * noise makes no flat curve steep.
 *
 * @returns `undefined` for fewer than three sizes.
 */
export function exponentOf(
  points: readonly GrowthPoint[],
  fixed: number = fixedCost(points),
): number | undefined {
  if (points.length < LEAST_POINTS) return undefined;
  const upper = points.slice(-Math.max(LEAST_POINTS, Math.ceil(points.length / 2)));
  const xs = upper.map(({ size }) => Math.log(size));
  const ys = upper.map(({ milliseconds }) => Math.log(Math.max(milliseconds - fixed, 1e-3)));
  const [meanX, meanY] = [mean(xs), mean(ys)];
  const covariance = mean(xs.map((x, at) => (x - meanX) * ((ys[at] ?? meanY) - meanY)));
  return covariance / mean(xs.map((x) => (x - meanX) ** 2));
}

/** In words. */
export function verdictOn(exponent: number | undefined): string {
  if (exponent === undefined) return "too few sizes to tell";
  const power = `exponent ${exponent.toFixed(2)}`;
  if (exponent > LINEAR_EXPONENT) return `worse than linear (${power})`;
  return exponent < 0.9 ? `better than linear (${power})` : `linear (${power})`;
}

function fixedCost(points: readonly GrowthPoint[]): number {
  const [first, second] = points;
  if (first === undefined || second === undefined) return 0;
  const slope = (second.milliseconds - first.milliseconds) / (second.size - first.size);
  const atZero = first.milliseconds - slope * first.size;
  const least = Math.min(...points.map(({ milliseconds }) => milliseconds));
  return Math.min(Math.max(atZero, 0), MOST_FIXED * least);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
