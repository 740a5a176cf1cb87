/**
 * Runs in a thread of its own: compares one pair of trees after another, as it is told.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";

import { compareTrees, type TreeDifference } from "../layer/compare-trees.ts";

/** Two trees to compare. */
export interface CompareJob {
  readonly expected: string;
  readonly actual: string;
  /** As for `compareTrees`. */
  readonly unknown: readonly string[];
  /** One 32-bit number, which is not 0 once the job is to be given up. */
  readonly cancelled: SharedArrayBuffer;
}

/** What came of it; `failure` where the comparison itself could not go on. */
export interface CompareAnswer {
  readonly difference?: TreeDifference | undefined;
  readonly failure?: Error | undefined;
}

parentPort?.on("message", (job: CompareJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
  parentPort?.postMessage(run(job));
});

function run({ expected, actual, unknown, cancelled }: CompareJob): CompareAnswer {
  const flag = new Int32Array(cancelled);
  try {
    const difference = compareTrees(expected, actual, new Set(unknown), () => {
      if (Atomics.load(flag, 0) !== 0) throw new Error("given up");
    });
    return { difference };
  } catch (error) {
    return { failure: error instanceof Error ? error : new Error(String(error)) };
  }
}
