import { Worker } from "node:worker_threads";

import { importConditions } from "../import-conditions.ts";
import { StoreError, type StoreErrorCode } from "../store-error.ts";
import type { ThreadAnswer, ThreadFailure, UnpackJob } from "./unpack-job.ts";

const IDLE_MS = 2000;
// What these threads allocate is short-lived: a larger nursery only costs memory.
const YOUNG_MIB = 2;

interface Thread {
  readonly worker: Worker;
  idle: NodeJS.Timeout | undefined;
}

/** Threads that all run one script. One that has nothing to do keeps no process alive, and ends soon. */
export class ThreadPool {
  readonly #script: string;
  readonly #idle: Thread[] = [];

  /** @param script - Beside this module, without its extension. */
  constructor(script: string) {
    this.#script = script;
  }

  /** Has a job done on a thread of its own. @throws {@link StoreError}, with the code of the failure */
  async run<Result>(job: UnpackJob, onAnswer?: (answer: EarlyAnswer) => void): Promise<Result> {
    const thread = this.#idle.pop() ?? this.#start();
    clearTimeout(thread.idle);
    thread.worker.ref();
    const answer = await askThread<Result>(thread.worker, job, onAnswer);
    this.#rest(thread);
    if (answer.type === "failed") throw asError(answer.failure);
    return answer.result;
  }

  #start(): Thread {
    // Only import specifiers are rewritten when the sources are compiled.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const script = new URL(`./${this.#script}.${extension}`, import.meta.url);
    const worker = new Worker(script, {
      execArgv: importConditions(process.execArgv),
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    const thread: Thread = { worker, idle: undefined };
    worker.on("error", () => {});
    worker.on("exit", () => {
      clearTimeout(thread.idle);
      const index = this.#idle.indexOf(thread);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    return thread;
  }

  #rest(thread: Thread): void {
    thread.worker.unref();
    thread.idle = setTimeout(() => {
      this.#idle.splice(this.#idle.indexOf(thread), 1);
      void thread.worker.terminate();
    }, IDLE_MS).unref();
    this.#idle.push(thread);
  }
}

/** An error as it was on the other thread. */
export function asError(failure: ThreadFailure): Error {
  const { code, message, stack } = failure;
  if (code?.startsWith("ERR_STORE_")) return new StoreError(code as StoreErrorCode, message);
  const cause = Object.assign(new Error(message), { stack });
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new StoreError("ERR_STORE_NO_SPACE", message, { cause });
  }
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) {
    return new StoreError("ERR_STORE_IO", message, { cause: Object.assign(cause, { code }) });
  }
  return cause;
}

type FinalAnswer<Result> = Extract<ThreadAnswer<Result>, { readonly type: "done" | "failed" }>;
/** What comes before the end of a job. */
export type EarlyAnswer = Exclude<ThreadAnswer<unknown>, { readonly type: "done" | "failed" }>;

function askThread<Result>(
  worker: Worker,
  job: UnpackJob,
  onAnswer: ((answer: EarlyAnswer) => void) | undefined,
): Promise<FinalAnswer<Result>> {
  const { promise, resolve, reject } = Promise.withResolvers<FinalAnswer<Result>>();
  const onMessage = (answer: ThreadAnswer<Result>): void => {
    if (answer.type === "done" || answer.type === "failed") resolve(answer);
    else onAnswer?.(answer);
  };
  const onExit = (code: number): void => {
    reject(new StoreError("ERR_STORE_IO", `the thread that unpacks layers ended with ${code}`));
  };
  worker.on("message", onMessage).on("error", reject).on("exit", onExit);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
  worker.postMessage(job);
  return promise.finally(() => {
    worker.off("message", onMessage).off("error", reject).off("exit", onExit);
  });
}
