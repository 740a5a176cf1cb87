import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import {
  buildImage,
  requirePeer,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";

import { compare, median } from "./compare.ts";
import { measureProcess } from "./measure-process.ts";
import type { RowOptions, RowResult } from "./rows.ts";

const TARGET = 1.2;
const BUILT = [fileURLToPath(new URL("../../../packages/cli/bin/main.js", import.meta.url))];

/** `copy docker://… oci:…` against `skopeo copy`. */
export async function benchCopy({
  size,
  layers,
  pairs,
  main = BUILT,
}: RowOptions): Promise<RowResult> {
  const skopeo = requirePeer("skopeo");
  await using folder = await tempDir("stowage-bench-");
  await using registry = await startDockerRegistry();
  const image = buildImage({
    layers: splitSize(size * 1e6, layers).map((length) => ({
      tar: randomBytes(length),
      // What is not compressed, skopeo would compress as it pushes it, and so change its digest.
      compression: "gzip" as const,
    })),
  });
  const { digest } = image.descriptor;
  const layout = join(folder.path, "image");
  await writeOciLayout(layout, { it: image });
  const reference = `docker://${registry.host}/bench/image:it`;
  const plain = ["--insecure-policy", "copy", "--quiet"];
  await measureProcess({
    program: skopeo,
    args: [...plain, "--dest-tls-verify=false", `oci:${layout}:it`, reference],
  });
  await rm(layout, { recursive: true });
  const place = (run: number): string => join(folder.path, `copy-${run}`);
  const measured = await compare({
    pairs,
    ours: async (run) => ({
      program: process.execPath,
      args: [...main, "--quiet", "copy", "--tls-verify=false", reference, `oci:${place(run)}:it`],
    }),
    theirs: async (run) => ({
      program: skopeo,
      args: [...plain, "--src-tls-verify=false", reference, `oci:${place(run)}:it`],
    }),
    async check(run) {
      const index = await readFile(join(place(run), "index.json"), "utf8");
      if (!index.includes(digest)) throw new Error(`run ${run} did not copy ${digest}`);
      await rm(place(run), { recursive: true });
    },
  });
  const { ours, theirs, ratio } = measured;
  return {
    row: "copy",
    ratio,
    target: TARGET,
    oursMs: median(ours.map(({ milliseconds }) => milliseconds)),
    theirsMs: median(theirs.map(({ milliseconds }) => milliseconds)),
    oursPeakBytes: Math.max(...ours.map(({ peakBytes }) => peakBytes)),
    theirsPeakBytes: Math.max(...theirs.map(({ peakBytes }) => peakBytes)),
  };
}

/** Layers as images have them: each about half as large as the one before. */
export function splitSize(bytes: number, count: number): readonly number[] {
  const weights = Array.from({ length: count }, (_, at) => 0.6 ** at);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => Math.max(1, Math.round((bytes * weight) / total)));
}
