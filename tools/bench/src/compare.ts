import { type BenchCommand, measureProcess, type ProcessCost } from "./measure-process.ts";

/** Two ways to do the same. */
export interface Comparison {
  /** Called before each run, outside of what is measured. */
  readonly ours: (run: number) => Promise<BenchCommand>;
  readonly theirs: (run: number) => Promise<BenchCommand>;
  /** Called after each run, and throws unless it has done its work. */
  readonly check?: (run: number) => Promise<void>;
  readonly pairs: number;
}

/** What {@link compare} found; times are milliseconds. */
export interface Compared {
  readonly ours: readonly ProcessCost[];
  readonly theirs: readonly ProcessCost[];
  /** Ours over theirs, the median of the pairs. */
  readonly ratio: number;
  /** The same of each pair. */
  readonly ratios: readonly number[];
}

/** Lets two programs take turns, after one run each that does not count. */
export async function compare({ ours, theirs, check, pairs }: Comparison): Promise<Compared> {
  let run = 0;
  const measure = async (prepare: Comparison["ours"]): Promise<ProcessCost> => {
    run += 1;
    const cost = await measureProcess(await prepare(run));
    await check?.(run);
    return cost;
  };
  await measure(ours);
  await measure(theirs);
  const our: ProcessCost[] = [];
  const their: ProcessCost[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    // Who goes first finds other caches than who goes second.
    if (pair % 2 === 0) our.push(await measure(ours));
    their.push(await measure(theirs));
    if (pair % 2 === 1) our.push(await measure(ours));
  }
  const ratios = our.map((cost, at) => cost.milliseconds / (their[at]?.milliseconds ?? Number.NaN));
  return { ours: our, theirs: their, ratio: median(ratios), ratios };
}

/** The middle one, or between the two that are. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
