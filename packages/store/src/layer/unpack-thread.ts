/**
 * What the threads that take layers apart have in common.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";

import type { ThreadAnswer, ThreadFailure } from "./unpack-job.ts";

const PROGRESS_MS = 50;

let reported = 0;

/** Does one job after another, as they come, and answers each. */
export function answerJobs(run: (job: never) => unknown): void {
  parentPort?.on("message", (job: unknown) => {
    reported = 0;
    void answer(async () => await run(job as never)).then(post);
  });
}

async function answer(run: () => Promise<unknown>): Promise<ThreadAnswer<unknown>> {
  try {
    return { type: "done", result: await run() };
  } catch (error) {
    return { type: "failed", failure: asFailure(error) };
  }
}

/** Tells the other thread how far this one is, not too often. */
export function reportProgress(bytes: number, isLast: boolean): void {
  const now = performance.now();
  if (!isLast && now - reported < PROGRESS_MS) return;
  reported = now;
  post({ type: "progress", bytes });
}

/** Tells the other thread what the blob is. */
export function reportDigest(digest: string): void {
  post({ type: "hashed", digest });
}

/** An error, so that it crosses threads with its code. */
export function asFailure(error: unknown): ThreadFailure {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { code, message: error.message, stack: error.stack };
}

function post(answered: ThreadAnswer<unknown>): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
  parentPort?.postMessage(answered);
}
