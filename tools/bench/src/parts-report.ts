import type { BenchArguments } from "./bench-arguments.ts";
import { fileParts } from "./parts-files.ts";
import { hashParts } from "./parts-hash.ts";
import { inflateParts } from "./parts-inflate.ts";
import { makeSample } from "./parts-sample.ts";
import { threadParts } from "./parts-threads.ts";
import { median } from "./compare.ts";
import type { Report } from "./report.ts";
import { placeDir } from "./stage.ts";
import { formatColumns } from "./text-columns.ts";

/** One way to do a part of the work. */
export interface PartWay {
  readonly part: string;
  readonly way: string;
  readonly unit: "files/s" | "MB/s";
  /** Does it once, and says how many bytes or files that were. */
  readonly run: () => Promise<number>;
  /** What is needed for it and is not here. */
  readonly missing?: string;
}

interface PartResult extends Pick<PartWay, "missing" | "part" | "unit" | "way"> {
  /** Median, least and most. */
  readonly rate?: number;
  readonly least?: number;
  readonly most?: number;
}

const HEAD = ["part", "way", "rate", "least–most", ""];

/** How fast the parts are that a pull is made of, each way of doing them against the others. */
export async function partsReport(
  { names, options }: BenchArguments,
  tell: (text: string) => void,
): Promise<Report> {
  const { scale = 1, pairs: runs } = options;
  await using folder = await placeDir("tmpfs");
  const sample = await makeSample(folder.path, scale);
  const ways = [
    ...inflateParts(sample),
    ...hashParts(sample),
    ...threadParts(sample),
    ...(await fileParts(folder.path, scale)),
  ].filter(({ part }) => names.length === 0 || names.includes(part));
  const results: PartResult[] = [];
  for (const way of ways) results.push(await measureWay(way, runs));
  const text = `${formatColumns([HEAD, ...results.map(cellsOf)]).join("\n")}\n`;
  tell(text);
  return { data: { parts: results }, text, isGood: true };
}

/** After one run that does not count. */
async function measureWay(
  { part, way, unit, run, missing }: PartWay,
  runs: number,
): Promise<PartResult> {
  if (missing !== undefined) return { part, way, unit, missing };
  await run();
  const rates: number[] = [];
  for (let at = 0; at < runs; at += 1) {
    const started = performance.now();
    const amount = await run();
    rates.push((amount * 1000) / (performance.now() - started));
  }
  return {
    part,
    way,
    unit,
    rate: median(rates),
    least: Math.min(...rates),
    most: Math.max(...rates),
  };
}

function cellsOf({ part, way, unit, missing, ...rates }: PartResult): readonly string[] {
  if (missing !== undefined) return [part, way, "", "", `left out: no ${missing}`];
  const [rate, least, most] = [rates.rate, rates.least, rates.most].map((value = 0) =>
    (unit === "MB/s" ? value / 1e6 : value).toFixed(0),
  );
  return [part, way, rate ?? "", `${least}–${most}`, unit];
}
