import { once } from "node:events";
import { Worker } from "node:worker_threads";

import type { CompareAnswer, CompareJob } from "./compare-worker.ts";
import { importConditions } from "../import-conditions.ts";
import type { TreeDifference } from "../layer/compare-trees.ts";

/** Compares trees on a thread of its own, which ends with it. */
export interface TreeComparer extends AsyncDisposable {
  /** Rejects with the reason of the signal if that fires first; nothing is read any more then. */
  compare(
    expected: string,
    actual: string,
    options: CompareOptions,
  ): Promise<TreeDifference | undefined>;
}

/** How {@link TreeComparer} compares. */
export interface CompareOptions {
  readonly signal?: AbortSignal | undefined;
  /** Directories of which nothing is known but that they are there. */
  readonly unknown?: readonly string[] | undefined;
}

/** Nothing is started before the first comparison. */
export function createTreeComparer(): TreeComparer {
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const compareNow = async (
    expected: string,
    actual: string,
    { signal, unknown = [] }: CompareOptions,
  ): Promise<TreeDifference | undefined> => {
    signal?.throwIfAborted();
    worker ??= startWorker();
    const job: CompareJob = { expected, actual, unknown, cancelled: new SharedArrayBuffer(4) };
    const cancel = (): void => void Atomics.store(new Int32Array(job.cancelled), 0, 1);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const answered = once(worker, "message");
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
      worker.postMessage(job);
      const [answer] = (await answered) as [CompareAnswer];
      signal?.throwIfAborted();
      if (answer.failure !== undefined) throw answer.failure;
      return answer.difference;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  };
  return {
    compare(expected, actual, options) {
      const compared = last.then(() => compareNow(expected, actual, options));
      last = compared.catch(() => {});
      return compared;
    },
    async [Symbol.asyncDispose]() {
      await last;
      await worker?.terminate();
    },
  };
}

function startWorker(): Worker {
  // Only import specifiers are rewritten when the sources are compiled.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const execArgv = importConditions(process.execArgv);
  return new Worker(new URL(`./compare-worker.${extension}`, import.meta.url), { execArgv });
}
