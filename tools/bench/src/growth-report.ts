import type { BenchArguments } from "./bench-arguments.ts";
import { GROWTH_CURVES, type GrowthCurve, type GrowthPoint } from "./growth-curves.ts";
import { exponentOf, LINEAR_EXPONENT, verdictOn } from "./growth-fit.ts";
import { plotGrowth } from "./growth-plot.ts";
import type { Report } from "./report.ts";
import { BUILT } from "./stage.ts";
import { formatColumns } from "./text-columns.ts";

/** A curve as it was measured. */
export interface MeasuredCurve extends Pick<GrowthCurve, "title" | "unit"> {
  readonly name: string;
  readonly points: readonly GrowthPoint[];
  /** None where there are too few points. */
  readonly exponent?: number;
  /** Whether it is linear or better. */
  readonly verdict: string;
}

const HEAD = ["", "ms", "least–most", "CPU ms", "MB"];

/**
 * How cost grows, as a table, JSON, and a plot.
 *
 * @throws Error for a name that no curve has.
 */
export async function growthReport(
  { names, options }: BenchArguments,
  tell: (text: string) => void,
): Promise<Report> {
  const { scale = 1, pairs: runs, main = BUILT } = options;
  const unknown = names.find((name) => GROWTH_CURVES[name] === undefined);
  if (unknown !== undefined) {
    throw new Error(`no curve ${unknown}; there are ${Object.keys(GROWTH_CURVES).join(", ")}`);
  }
  const curves: MeasuredCurve[] = [];
  const texts: string[] = [];
  for (const [name, curve] of Object.entries(GROWTH_CURVES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const points = await curve.measure(scaled(curve.sizes, scale), { runs, main });
    const measured = judge(name, curve, points);
    curves.push(measured);
    texts.push(`${formatCurve(measured)}\n`);
    tell(texts.at(-1) ?? "");
  }
  return {
    data: { curves },
    text: texts.join(""),
    isGood: curves.every(({ exponent = 0 }) => exponent <= LINEAR_EXPONENT),
    files: { "growth.svg": plotGrowth(curves) },
  };
}

/** Sizes times a factor, each at least 1 and none twice. */
export function scaled(sizes: readonly number[], scale: number): readonly number[] {
  return [...new Set(sizes.map((size) => Math.max(1, Math.round(size * scale))))];
}

function judge(name: string, curve: GrowthCurve, points: readonly GrowthPoint[]): MeasuredCurve {
  const exponent = exponentOf(points, curve.fixedCost);
  const { title, unit } = curve;
  const verdict = verdictOn(exponent);
  return { name, title, unit, points, ...(exponent !== undefined && { exponent }), verdict };
}

function formatCurve({ name, title, unit, points, verdict }: MeasuredCurve): string {
  const lines = points.map(({ size, milliseconds, least, most, cpuMs, peakBytes }) => [
    size.toLocaleString("en"),
    milliseconds.toFixed(0),
    `${least.toFixed(0)}–${most.toFixed(0)}`,
    cpuMs.toFixed(0),
    (peakBytes / 1e6).toFixed(0),
  ]);
  return [`${name}: ${title}, by ${unit}: ${verdict}`, ...formatColumns([HEAD, ...lines])].join(
    "\n",
  );
}
