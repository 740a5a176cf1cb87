/**
 * What it costs to have more: files, layers, images, others that pull.
 *
 * @module
 */
import { type DockerRegistry, startDockerRegistry } from "@stowage/testkit";

import { median } from "./compare.ts";
import { writeMadeImage, type MadeImage } from "./made-image.ts";
import { multiplyImages } from "./many-images.ts";
import {
  type BenchCommand,
  measureProcess,
  type ProcessCost,
  type ProgramWords,
} from "./measure-process.ts";
import { stowageCommands, stowagePuller, stowageRoot } from "./pullers.ts";
import { placeDir, pushImage, settle, writeOpenPolicy } from "./stage.ts";
import type { Puller } from "./puller.ts";

/** How curves are measured. */
export interface GrowthOptions {
  readonly runs: number;
  /** The command line. */
  readonly main: ProgramWords;
}

/** What one size costs: wall time as median, least and most, and the peak of all runs. */
export interface GrowthPoint {
  readonly size: number;
  readonly milliseconds: number;
  readonly least: number;
  readonly most: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
}

/** One thing that there may be more of. */
export interface GrowthCurve {
  readonly title: string;
  /** What is counted. */
  readonly unit: string;
  readonly sizes: readonly number[];
  /** What any size costs, in milliseconds, where that needs no guess from the two smallest. */
  readonly fixedCost?: number;
  /** Has one size measured after the other, in a world of its own. */
  measure(sizes: readonly number[], options: GrowthOptions): Promise<readonly GrowthPoint[]>;
}

const FILES_PER_LAYER = 20;
const FILES_OF_CONCURRENT = 1000;
const IMAGES = [10, 30, 100, 300, 1000, 5000];

export const GROWTH_CURVES: Readonly<Record<string, GrowthCurve>> = {
  files: {
    title: "cold pull, one layer",
    unit: "files in the layer",
    sizes: [1000, 3000, 10_000, 30_000, 100_000, 300_000],
    measure: (sizes, options) =>
      measureEach(sizes, options, (world, size) =>
        coldPulls(world, { name: `files-${size}`, layers: 1, filesPerLayer: size }),
      ),
  },
  layers: {
    title: "cold pull, 20 files a layer",
    unit: "layers",
    sizes: [1, 5, 20, 50, 100, 200, 500],
    measure: (sizes, options) =>
      measureEach(sizes, options, (world, size) =>
        coldPulls(world, { name: `layers-${size}`, layers: size, filesPerLayer: FILES_PER_LAYER }),
      ),
  },
  listing: {
    title: "listing",
    unit: "images in the store",
    sizes: IMAGES,
    measure: (sizes, options) =>
      measureEach(sizes, options, async (world, size) => {
        await fillStore(world, size);
        return async () => world.command("images");
      }),
  },
  "pull-among": {
    title: "cold pull of one more",
    unit: "images in the store",
    sizes: IMAGES,
    measure: (sizes, options) =>
      measureEach(sizes, options, async (world, size) => {
        await fillStore(world, size);
        const more = await world.push({ name: "more", layers: 1, filesPerLayer: FILES_PER_LAYER });
        let isHere = false;
        return async () => {
          if (isHere) await measureProcess(world.command("rmi", more));
          isHere = true;
          return world.puller.pull(more);
        };
      }),
  },
  concurrent: {
    title: "cold pulls at once, 1,000 files each",
    unit: "processes, each with an image of its own",
    sizes: [1, 2, 4, 8, 16],
    // Each has a process of its own, and a second one costs no time while a core is idle.
    fixedCost: 0,
    measure: (sizes, options) =>
      measureEach(sizes, options, async (world, size) => {
        const references: string[] = [];
        for (let at = 0; at < size; at += 1) {
          const made = { name: `at-once-${at}`, layers: 1, filesPerLayer: FILES_OF_CONCURRENT };
          references.push(await world.push(made));
        }
        return async () => {
          await world.puller.reset();
          return atOnce(references.map((reference) => world.puller.pull(reference)));
        };
      }),
  },
};

interface GrowthWorld {
  readonly folder: string;
  readonly puller: Puller;
  readonly command: (...args: readonly string[]) => BenchCommand;
  /** @returns its name in the registry. */
  push(made: MadeImage): Promise<string>;
}

/** Sets a size up and says what is to be measured; called again before each run. */
type Prepare = (world: GrowthWorld, size: number) => Promise<() => Promise<BenchCommand>>;

async function measureEach(
  sizes: readonly number[],
  { runs, main }: GrowthOptions,
  prepare: Prepare,
): Promise<readonly GrowthPoint[]> {
  await using registry = await startDockerRegistry();
  const points: GrowthPoint[] = [];
  for (const size of sizes) {
    await using folder = await placeDir("tmpfs");
    const policy = await writeOpenPolicy(folder.path);
    await using puller = await stowagePuller(main)(folder.path, policy);
    const command = stowageCommands(main, folder.path, policy);
    const push = (made: MadeImage): Promise<string> => pushMade(registry, main, made);
    const next = await prepare({ folder: folder.path, puller, command, push }, size);
    // The first finds colder caches than those after it.
    if (points.length === 0) await measureProcess(await next());
    const costs: ProcessCost[] = [];
    for (let run = 0; run < runs; run += 1) {
      const measured = await next();
      await settle(folder.path, false);
      costs.push(await measureProcess(measured));
    }
    points.push(pointOf(size, costs));
  }
  return points;
}

async function pushMade(
  { host }: DockerRegistry,
  main: ProgramWords,
  made: MadeImage,
): Promise<string> {
  const reference = `${host}/bench/${made.name}:it`;
  await pushImage(reference, main, (layout) => writeMadeImage(layout, made));
  return reference;
}

async function coldPulls(
  world: GrowthWorld,
  made: MadeImage,
): Promise<() => Promise<BenchCommand>> {
  const reference = await world.push(made);
  return async () => {
    await world.puller.reset();
    return world.puller.pull(reference);
  };
}

async function fillStore({ push, puller, folder }: GrowthWorld, size: number): Promise<void> {
  const first = await push({ name: "first", layers: 1, filesPerLayer: FILES_PER_LAYER });
  await puller.reset();
  await measureProcess(puller.pull(first));
  await multiplyImages(stowageRoot(folder), size);
}

/** One process that has others run at the same time, and fails if one of them does. */
function atOnce(commands: readonly BenchCommand[]): BenchCommand {
  const lines = commands.map(({ program, args }) => `${[program, ...args].map(quote).join(" ")} &`);
  const script = [...lines.map((line) => `${line} all="$all $!"`), "for one in $all"];
  return { program: "sh", args: ["-c", `${script.join("\n")}\ndo wait $one || exit 1\ndone`] };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function pointOf(size: number, costs: readonly ProcessCost[]): GrowthPoint {
  const times = costs.map(({ milliseconds }) => milliseconds);
  return {
    size,
    milliseconds: median(times),
    least: Math.min(...times),
    most: Math.max(...times),
    cpuMs: median(costs.map(({ cpuMs }) => cpuMs)),
    peakBytes: Math.max(...costs.map(({ peakBytes }) => peakBytes)),
  };
}
