import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { createRuntime, type Runtime } from "@stowage/runtime-shim";

import { median } from "./compare.ts";
import { layersOf } from "./real-image.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, writeOpenPolicy } from "./stage.ts";

const TARGET_MS = 5;
const STARTS = 200;
const WARM_UP = 20;
const LAYERS = "layers-50";

const run = promisify(execFile);

/**
 * Containers of an image of 50 layers, started in one process. `start` mounts and turns the template
 * into the run configuration; `create+start` also makes the container and writes its template, which
 * is durable.
 */
export async function benchStart(options: RowOptions): Promise<readonly RowResult[]> {
  const { scale = 1, main = BUILT, places = ["tmpfs"] } = options;
  const count = Math.max(3, Math.round(STARTS * scale));
  await using stage = await setStage(layersOf(LAYERS, 1), "gzip", main);
  const results: RowResult[] = [];
  for (const place of places) {
    await using folder = await placeDir(place);
    const policyPath = await writeOpenPolicy(folder.path);
    const root = join(folder.path, "root");
    const runRoot = join(folder.path, "run");
    await using runtime = await createRuntime({ root, runRoot, policyPath, tlsVerify: false });
    await runtime.images.pull(stage.reference, {});
    await timeStarts(runtime, stage.reference, WARM_UP);
    const times = await timeStarts(runtime, stage.reference, count);
    const rest = { place, image: stage.image, peakBytes: process.memoryUsage.rss() };
    results.push(
      resultOf(
        "start",
        times.map(({ start }) => start),
        rest,
      ),
      resultOf(
        "create+start",
        times.map(({ create, start }) => create + start),
        rest,
      ),
    );
  }
  return results;
}

interface StartTimes {
  readonly create: number;
  readonly start: number;
}

async function timeStarts(
  runtime: Runtime,
  imageName: string,
  count: number,
): Promise<readonly StartTimes[]> {
  const pod = await runtime.createPodSandbox({ podName: "bench", imageName: null });
  const times: StartTimes[] = [];
  try {
    for (let at = 0; at < count; at += 1) {
      const containerName = `container-${at}`;
      const started = performance.now();
      const container = { podId: pod.id, containerName, imageName };
      const { id } = await runtime.createContainer(container);
      const created = performance.now();
      const { mountPoint } = await runtime.startContainer(id);
      const mounted = performance.now();
      if (at === 0) await run("mountpoint", ["-q", mountPoint]);
      times.push({ create: created - started, start: mounted - created });
      await runtime.pods.stopContainer(id);
      await runtime.pods.deleteContainer(id);
    }
    return times;
  } finally {
    await runtime.pods.removePod(pod.id);
  }
}

function resultOf(
  row: string,
  times: readonly number[],
  rest: Pick<RowResult, "image" | "place"> & { readonly peakBytes: number },
): RowResult {
  const { place, image, peakBytes } = rest;
  const milliseconds = median(times);
  const range = [Math.min(...times), Math.max(...times)] as const;
  return {
    row,
    peer: `${TARGET_MS} ms`,
    ...(place && { place }),
    ...(image && { image }),
    ratio: milliseconds / TARGET_MS,
    ratioMin: range[0] / TARGET_MS,
    ratioMax: range[1] / TARGET_MS,
    target: 1,
    oursMs: milliseconds,
    theirsMs: TARGET_MS,
    oursRange: range,
    oursPeakBytes: peakBytes,
    theirsPeakBytes: 0,
  };
}
