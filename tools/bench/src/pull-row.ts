import { rm } from "node:fs/promises";

import { compare, type Compared, median } from "./compare.ts";
import { installedPullers, PEER_PULLERS, stowagePuller } from "./pullers.ts";
import { type ImageKind, layersOf } from "./real-image.ts";
import type { Place, RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, writeOpenPolicy } from "./stage.ts";

const PLACES: readonly Place[] = ["tmpfs", "disk"];

/** A cold pull, until the image can be mounted, against each peer in each place. */
export async function benchPull(
  kind: ImageKind,
  options: RowOptions,
): Promise<readonly RowResult[]> {
  const { main = BUILT, scale = 1, peers = installedPullers(), places = PLACES } = options;
  const compression = kind.endsWith("-zstd") ? "zstd" : "gzip";
  await using stage = await setStage(layersOf(kind, scale), compression, main);
  const results: RowResult[] = [];
  for (const place of places) {
    for (const peer of peers) {
      const about = { row: kind, peer, place, target: targetOf(kind, peer, place) };
      try {
        const { reference } = stage;
        const compared = await comparePulls(reference, peer, place, options.pairs, main);
        results.push(summarize(about, compared));
      } catch (error) {
        results.push(failed(about, error));
      }
    }
  }
  return results;
}

async function comparePulls(
  reference: string,
  peer: string,
  place: Place,
  pairs: number,
  main: readonly string[],
): Promise<Compared> {
  await using folder = await placeDir(place);
  const policy = await writeOpenPolicy(folder.path);
  const create = PEER_PULLERS[peer];
  if (create === undefined) {
    throw new Error(`no peer ${peer}; there are ${Object.keys(PEER_PULLERS).join(", ")}`);
  }
  await using ours = stowagePuller(main)(folder.path, policy);
  await using theirs = create(folder.path, policy);
  const compared = await compare({
    pairs,
    async ours() {
      await ours.reset();
      return ours.pull(reference);
    },
    async theirs() {
      await theirs.reset();
      return theirs.pull(reference);
    },
  });
  await rm(policy);
  return compared;
}

/** The part of a peer's time that a row may take. */
function targetOf(kind: ImageKind, peer: string, place: Place): number {
  const isLarge = kind === "small-files" || kind.startsWith("usr");
  if (!isLarge) return 1;
  if (place === "disk") return 1 / 2;
  if (kind === "usr-zstd") return 1 / 3;
  return peer === "containerd" ? 1 / 4 : 1 / 5;
}

/** What a comparison comes to. */
export function summarize(
  about: Pick<RowResult, "peer" | "place" | "row" | "target">,
  { ours, theirs, ratio, ratios }: Compared,
): RowResult {
  return {
    ...about,
    ratio,
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    oursMs: median(ours.map(({ milliseconds }) => milliseconds)),
    theirsMs: median(theirs.map(({ milliseconds }) => milliseconds)),
    oursCpuMs: median(ours.map(({ cpuMs }) => cpuMs)),
    theirsCpuMs: median(theirs.map(({ cpuMs }) => cpuMs)),
    cpuRatio: median(ours.map(({ cpuMs }, at) => cpuMs / (theirs[at]?.cpuMs ?? Number.NaN))),
    oursPeakBytes: Math.max(...ours.map(({ peakBytes }) => peakBytes)),
    theirsPeakBytes: Math.max(...theirs.map(({ peakBytes }) => peakBytes)),
  };
}

function failed(about: Pick<RowResult, "row" | "target">, error: unknown): RowResult {
  const none = { ratio: Number.NaN, oursMs: Number.NaN, theirsMs: Number.NaN };
  const failure = error instanceof Error ? error.message : String(error);
  return { ...about, ...none, oursPeakBytes: 0, theirsPeakBytes: 0, failure };
}
