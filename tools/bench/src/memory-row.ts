import { type ProcessCost, measureProcess } from "./measure-process.ts";
import { median } from "./compare.ts";
import { stowagePuller } from "./pullers.ts";
import { type ImageKind, layersOf } from "./real-image.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, settle, writeOpenPolicy } from "./stage.ts";

const ALLOWED_BYTES = 128 * 1024 * 1024;
const KINDS: readonly ImageKind[] = ["small-files", "usr", "usr-zstd", "layers-500"];
const IDLE = "setTimeout(() => {}, 300)";

/** The peak of a pull, less that of Node that waits, against 128 MiB: the most of all runs. */
export async function benchMemory(options: RowOptions): Promise<readonly RowResult[]> {
  const idle = await idleNode(options.pairs);
  const results: RowResult[] = [];
  for (const kind of KINDS) results.push(await memoryOfPull(kind, idle, options));
  return results;
}

/** The peak of Node that waits: the median. */
async function idleNode(runs: number): Promise<number> {
  const peaks: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const cost = await measureProcess({ program: process.execPath, args: ["-e", IDLE] });
    peaks.push(cost.peakBytes);
  }
  return median(peaks);
}

async function memoryOfPull(
  kind: ImageKind,
  idle: number,
  { pairs, scale = 1, main = BUILT, dropsCache = false }: RowOptions,
): Promise<RowResult> {
  const compression = kind.endsWith("-zstd") ? "zstd" : "gzip";
  await using stage = await setStage(layersOf(kind, scale), compression, main);
  await using folder = await placeDir("tmpfs");
  const policy = await writeOpenPolicy(folder.path);
  await using puller = await stowagePuller(main)(folder.path, policy);
  const costs: ProcessCost[] = [];
  for (let run = 0; run < pairs; run += 1) {
    await puller.reset();
    await settle(folder.path, dropsCache);
    costs.push(await measureProcess(puller.pull(stage.reference)));
  }
  const peaks = costs.map(({ peakBytes }) => peakBytes);
  const peak = Math.max(...peaks);
  return {
    row: `memory ${kind}`,
    peer: "128 MiB",
    place: "tmpfs",
    image: stage.image,
    ratio: (peak - idle) / ALLOWED_BYTES,
    ratioMin: (Math.min(...peaks) - idle) / ALLOWED_BYTES,
    ratioMax: (peak - idle) / ALLOWED_BYTES,
    target: 1,
    oursMs: median(costs.map(({ milliseconds }) => milliseconds)),
    theirsMs: Number.NaN,
    oursPeakBytes: peak,
    theirsPeakBytes: idle,
  };
}
