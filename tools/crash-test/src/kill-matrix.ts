/**
 * Every command, cut off at every step by every fault: all of it, or a sample.
 *
 * @module
 */
import { type Boundary, boundaryOf } from "./commit-boundaries.ts";
import { type Crash, crashAtStep, type Fault, FAULTS, stepsOf } from "./crash-at-step.ts";
import { type CrashWorld, openCrashWorld } from "./crash-world.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";
import { shuffle } from "./shuffle.ts";
import type { Step } from "./step-tracer.ts";

/** One run that is to be. */
export interface Cell {
  readonly scenario: Scenario;
  readonly fault: Fault;
  readonly at: number;
}

/** What of the matrix is to be run. */
export interface MatrixOptions {
  readonly scenarios?: readonly Scenario[] | undefined;
  readonly faults?: readonly Fault[] | undefined;
  /** Only the steps that are at one of these. */
  readonly boundaries?: readonly Boundary[] | undefined;
  /** How many cells, chosen by the seed. All unless told. */
  readonly sample?: number | undefined;
  readonly seed?: number | undefined;
  /** Begins no further cell after so many milliseconds, which count from the first. */
  readonly timeLimitMs?: number | undefined;
  /** Cells at a time, each in a world of its own. @defaultValue 1 */
  readonly jobs?: number | undefined;
  /** Cells that need not be run again. */
  readonly isDone?: ((cell: Cell) => boolean) | undefined;
  readonly onCrash?: ((crash: Crash) => void) | undefined;
}

/** What came of it. */
export interface MatrixReport {
  /** Steps of each command. */
  readonly steps: ReadonlyMap<string, number>;
  /** How many cells there are, with those that were not run. */
  readonly cells: number;
  readonly crashes: readonly Crash[];
}

export async function runMatrix(options: MatrixOptions = {}): Promise<MatrixReport> {
  const { sample, seed = 1, timeLimitMs = Infinity, jobs = 1, isDone, onCrash } = options;
  await using first = await openCrashWorld();
  const steps = new Map<string, number>();
  const cells: Cell[] = [];
  for (const scenario of options.scenarios ?? SCENARIOS) {
    const own = await stepsOf(first, scenario);
    steps.set(scenario.name, own.length);
    const chosen = own.filter((step) => isWanted(step, first.place.root, options.boundaries));
    for (const fault of options.faults ?? FAULTS) {
      cells.push(...chosen.map(({ at }): Cell => ({ scenario, fault, at })));
    }
  }
  const chosen = shuffle(cells, seed).slice(0, sample);
  const waiting = chosen.filter((cell) => isDone?.(cell) !== true);
  const crashes: Crash[] = [];
  const until = performance.now() + timeLimitMs;
  const work = async (world: CrashWorld): Promise<void> => {
    while (performance.now() < until) {
      const cell = waiting.shift();
      if (cell === undefined) return;
      const crash = await crashAtStep(world, cell.scenario, cell.fault, cell.at);
      crashes.push(crash);
      onCrash?.(crash);
    }
  };
  const more = Array.from({ length: jobs - 1 }, async () => {
    await using world = await openCrashWorld();
    await work(world);
  });
  await Promise.all([work(first), ...more]);
  return { steps, cells: cells.length, crashes };
}

function isWanted(step: Step, root: string, boundaries: readonly Boundary[] | undefined): boolean {
  const boundary = boundaryOf(step, root);
  return boundaries === undefined || (boundary !== undefined && boundaries.includes(boundary));
}
