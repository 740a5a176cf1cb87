import { Worker } from "node:worker_threads";

import { type Digest, parseDigest } from "@stowage/content";

import type { DigestAnswer, DigestOrder } from "./digest-job.ts";
import { importConditions } from "./import-conditions.ts";
import { StoreError } from "./store-error.ts";

const IDLE_MS = 1000;
// What it allocates is short-lived: a larger nursery only costs memory.
const YOUNG_MIB = 2;

interface Waiter {
  readonly resolve: (digest: Digest) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A thread that hashes files as they grow. One for the process: hashing is as fast as a core, and
 * unpacking wants the others.
 */
export class DigestThread {
  readonly #worker: Worker;
  readonly #waiters = new Map<number, Waiter>();
  #next = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(onExit: () => void) {
    // Only import specifiers are rewritten when the sources are compiled.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const execArgv = importConditions(process.execArgv);
    const script = new URL(`./digest-worker.${extension}`, import.meta.url);
    this.#worker = new Worker(script, {
      execArgv,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    this.#worker.on("message", (answer: DigestAnswer) => this.#settle(answer));
    this.#worker.on("error", (error) => this.#failAll(error));
    this.#worker.on("exit", (code) => {
      onExit();
      this.#failAll(new Error(`it ended with ${code}`));
    });
  }

  add(waiter: Waiter): number {
    clearTimeout(this.#idle);
    this.#worker.ref();
    const id = this.#next++;
    this.#waiters.set(id, waiter);
    return id;
  }

  tell(order: DigestOrder): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
    this.#worker.postMessage(order);
  }

  remove(id: number): void {
    if (!this.#waiters.delete(id) || this.#waiters.size > 0) return;
    this.#worker.unref();
    this.#idle = setTimeout(() => {
      // Whoever comes while it ends needs another.
      if (thread === this) thread = undefined;
      void this.#worker.terminate();
    }, IDLE_MS).unref();
  }

  #settle(answer: DigestAnswer): void {
    const waiter = this.#waiters.get(answer.id);
    if ("digest" in answer) waiter?.resolve(parseDigest(answer.digest));
    else waiter?.reject(failureOf(Object.assign(new Error(answer.message), { code: answer.code })));
    this.remove(answer.id);
  }

  #failAll(error: unknown): void {
    for (const { reject } of this.#waiters.values()) reject(failureOf(error));
    this.#waiters.clear();
  }
}

let thread: DigestThread | undefined;

/** The thread of this process, started if there is none. */
export function theDigestThread(): DigestThread {
  const started = (thread ??= new DigestThread(() => {
    if (thread === started) thread = undefined;
  }));
  return started;
}

function failureOf(cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("ERR_STORE_IO", `a blob cannot be hashed: ${message}`, { cause });
}
