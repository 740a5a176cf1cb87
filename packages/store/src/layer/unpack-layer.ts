/**
 * Unpacks layers away from the main thread, on as many threads as there are processors.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

import type { Digest } from "@stowage/content";
import { parseDigest } from "@stowage/content";

import { StoreError, type StoreErrorCode } from "../store-error.ts";
import { DEFAULT_LAYER_LIMITS, type LayerLimits } from "./layer-limits.ts";
import type { UnpackAnswer, UnpackFailure, UnpackJob, UnpackResult } from "./unpack-job.ts";

/** What {@link unpackLayer} is given. */
export interface UnpackLayerOptions {
  /** A file with the blob of the layer: gzip, zstd or a plain archive. */
  readonly blobPath: string;
  /** An empty directory that only this process can reach. */
  readonly diffDir: string;
  readonly signal?: AbortSignal | undefined;
  /** Limits that differ from the defaults. */
  readonly limits?: Partial<LayerLimits> | undefined;
  /** Is told, now and then, how many bytes of the blob have been read. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** What came of a layer. */
export interface UnpackedLayer {
  /** The digest of the uncompressed archive, to its very last byte. */
  readonly diffID: Digest;
  /** Bytes of the uncompressed archive. */
  readonly diffSize: number;
  readonly entries: number;
  /** Directories that only layers below can describe, parents first; empty for the root. */
  readonly impliedDirectories: readonly Uint8Array[];
  /** Whether the layer hides everything of those below it, which overlayfs can not be told. */
  readonly isRootOpaque: boolean;
  /** Device nodes left out because this process is not root. */
  readonly skippedDevices: number;
}

const IDLE_MS = 2000;

/**
 * Unpacks a layer. When it rejects, nothing is written to the directory any more, but what has been
 * written is still there.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER`, `ERR_STORE_LAYER_ESCAPE`,
 *   `ERR_STORE_LIMIT_EXCEEDED` for what the archive holds; `ERR_STORE_DECOMPRESS`,
 *   `ERR_STORE_UNSUPPORTED_COMPRESSION` for how it is packed; `ERR_STORE_NO_SPACE`, `ERR_STORE_IO` for
 *   the disk.
 */
export async function unpackLayer(options: UnpackLayerOptions): Promise<UnpackedLayer> {
  const { signal } = options;
  signal?.throwIfAborted();
  const limits = { freeBytes: await freeBytesOf(options.diffDir), ...options.limits };
  const result = await withThread(signal, (thread) => runJob(thread, { ...options, limits }));
  if (result === undefined) throw signal?.reason;
  return { ...result, diffID: parseDigest(result.diffID) };
}

interface Thread {
  readonly worker: Worker;
  idle: NodeJS.Timeout | undefined;
}

const USABLE_SHARE = 0.95;

const idleThreads: Thread[] = [];
const waiting: (() => void)[] = [];
let busy = 0;

async function withThread<Result>(
  signal: AbortSignal | undefined,
  use: (thread: Thread) => Promise<Result>,
): Promise<Result> {
  if (busy >= availableParallelism()) await waitForTurn(signal);
  else busy += 1;
  try {
    const thread = idleThreads.pop() ?? startThread();
    clearTimeout(thread.idle);
    thread.worker.ref();
    return await use(thread);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else busy -= 1;
  }
}

function waitForTurn(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      waiting.splice(waiting.indexOf(enter), 1);
      reject(signal?.reason);
    };
    const enter = (): void => {
      signal?.removeEventListener("abort", leave);
      resolve();
    };
    waiting.push(enter);
    signal?.addEventListener("abort", leave, { once: true });
  });
}

function startThread(): Thread {
  // Only import specifiers are rewritten when the sources are compiled.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  // This flag is about the main script, and an error in a thread that has a file.
  const execArgv = process.execArgv.filter((flag) => !flag.startsWith("--input-type"));
  const worker = new Worker(new URL(`./unpack-worker.${extension}`, import.meta.url), { execArgv });
  const thread: Thread = { worker, idle: undefined };
  worker.on("error", () => {});
  worker.on("exit", () => {
    clearTimeout(thread.idle);
    const index = idleThreads.indexOf(thread);
    if (index >= 0) idleThreads.splice(index, 1);
  });
  return thread;
}

function rest(thread: Thread): void {
  thread.worker.unref();
  thread.idle = setTimeout(() => {
    idleThreads.splice(idleThreads.indexOf(thread), 1);
    void thread.worker.terminate();
  }, IDLE_MS).unref();
  idleThreads.push(thread);
}

/** Answers `undefined` when the job has been given up. */
async function runJob(
  thread: Thread,
  options: UnpackLayerOptions,
): Promise<UnpackResult | undefined> {
  const { blobPath, diffDir, signal, onProgress } = options;
  const limits = { ...DEFAULT_LAYER_LIMITS, ...options.limits };
  const job: UnpackJob = { blobPath, diffDir, limits, cancelled: new SharedArrayBuffer(4) };
  const cancel = (): void => void Atomics.store(new Int32Array(job.cancelled), 0, 1);
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    const answer = await askThread(thread, job, onProgress);
    rest(thread);
    if (answer.type === "failed") throw asError(answer.failure);
    return answer.type === "done" ? answer.result : undefined;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/** What may be used of a file system, which is never filled to the last. */
async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return Math.floor(bavail * bsize * USABLE_SHARE);
}

type FinalAnswer = Exclude<UnpackAnswer, { readonly type: "progress" }>;

function askThread(
  { worker }: Thread,
  job: UnpackJob,
  onProgress: ((bytes: number) => void) | undefined,
): Promise<FinalAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<FinalAnswer>();
  const onMessage = (answer: UnpackAnswer): void => {
    if (answer.type === "progress") onProgress?.(answer.bytes);
    else resolve(answer);
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

function asError(failure: UnpackFailure): Error {
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
