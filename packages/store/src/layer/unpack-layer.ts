/**
 * Unpacks layers away from the main thread: one thread takes a blob in and unpacks it into an
 * archive, another makes the files of the archive, or one does both. As many layers at once as there
 * are processors.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";

import { type Digest, parseDigest } from "@stowage/content";

import type { BlobHashing } from "../arrivals.ts";
import { abortRing, createRing, resetRing, type SharedRing } from "./chunk-ring.ts";
import { GrowthWriter } from "./growing-file.ts";
import { DEFAULT_LAYER_LIMITS, type LayerLimits } from "./layer-limits.ts";
import { type EarlyAnswer, ThreadPool } from "./thread-pool.ts";
import { Turnstile } from "./turnstile.ts";
import type {
  AppliedArchive,
  DecodedBlob,
  DecodeJob,
  GrowingBlob,
  WholeJob,
} from "./unpack-job.ts";

/** What {@link unpackLayer} is given. */
export interface UnpackLayerOptions {
  /** The blob of the layer: gzip, zstd or a plain archive; a file, or what will be one. */
  readonly blob: string | (Omit<GrowingBlob, "type"> & { readonly hashing: BlobHashing });
  /** An empty directory that only this process can reach. */
  readonly diffDir: string;
  readonly signal?: AbortSignal | undefined;
  /** How many take it apart: two are faster by a half, one takes less of the machine. @defaultValue 2 */
  readonly threads?: 1 | 2;
  /** Of these, one at a time: it is unpacked before another thread would have started. */
  readonly isTiny?: boolean;
  /** Limits that differ from the defaults. */
  readonly limits?: Partial<LayerLimits> | undefined;
  /** Is told, now and then, how many bytes of the blob have been read. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** What came of a layer. */
export interface UnpackedLayer extends AppliedArchive {
  /** The digest of the uncompressed archive, to its very last byte. */
  readonly diffID: Digest;
  /** Bytes of the uncompressed archive. */
  readonly diffSize: number;
}

/** Thrown by {@link unpackLayer} when the file that was to grow was given up. */
export class BlobGivenUpError extends Error {
  override readonly name = "BlobGivenUpError";
}

const threads = new ThreadPool("unpack-worker");
const turnstile = new Turnstile(availableParallelism());
const tinyTurnstile = new Turnstile(1);

/** As many as have been in use at once: an image may have hundreds of layers. */
const idleRings: SharedRing[] = [];
const ARCHIVE_SLOTS = 8;
const ARCHIVE_BYTES = 256 * 1024;
const USABLE_SHARE = 0.95;

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
  const take = (): Promise<UnpackedLayer> => turnstile.run(signal, () => unpack(options));
  return await (options.isTiny ? tinyTurnstile.run(signal, take) : take());
}

async function unpack(options: UnpackLayerOptions): Promise<UnpackedLayer> {
  const { blob, diffDir, signal } = options;
  const freeBytes = await freeBytesOf(diffDir);
  const limits = { ...DEFAULT_LAYER_LIMITS, freeBytes, ...options.limits };
  const { hashing, source } = sourceOf(blob);
  const run = (options.threads ?? 2) === 1 ? unpackByOne : unpackByTwo;
  try {
    const unpacked = await run(
      { source, diffDir, limits, hashing },
      {
        signal,
        onAnswer(answer) {
          if (answer.type === "progress") options.onProgress?.(answer.bytes);
          else hashing?.found(parseDigest(answer.digest));
        },
      },
    );
    if (unpacked === undefined) throw new BlobGivenUpError();
    return { ...unpacked, diffID: parseDigest(unpacked.diffID) };
  } finally {
    hashing?.end();
  }
}

/** What is to be done with a layer, by whichever threads. */
interface Unpacking extends Omit<WholeJob, "givenUp" | "type"> {
  readonly hashing: BlobHashing | undefined;
}

interface UnpackingContext {
  readonly signal: AbortSignal | undefined;
  readonly onAnswer: (answer: EarlyAnswer) => void;
}

type Unpacked = (DecodedBlob & AppliedArchive) | undefined;

/** One thread does the one thing after the other with each piece. */
async function unpackByOne(
  { hashing, ...work }: Unpacking,
  { signal, onAnswer }: UnpackingContext,
): Promise<Unpacked> {
  const givenUp = new SharedArrayBuffer(4);
  using _ = cancelOn(signal, () => {
    Atomics.store(new Int32Array(givenUp), 0, 1);
    giveUpSource(work.source);
  });
  hashing?.begin();
  try {
    return await threads.run<Unpacked>({ type: "whole", ...work, givenUp }, onAnswer);
  } finally {
    signal?.throwIfAborted();
  }
}

/** One thread takes the blob in, the other makes the files. */
async function unpackByTwo(
  { source, diffDir, limits, hashing }: Unpacking,
  { signal, onAnswer }: UnpackingContext,
): Promise<Unpacked> {
  const archive = idleRings.pop() ?? createRing(ARCHIVE_SLOTS, ARCHIVE_BYTES);
  const cancel = (): void => {
    giveUpSource(source);
    abortRing(archive);
  };
  using _ = cancelOn(signal, cancel);
  const applying = threads.run<AppliedArchive | undefined>({
    type: "apply",
    archive,
    diffDir,
    limits,
  });
  // Not before it is its turn: whoever waits for the digest keeps others from their blobs.
  hashing?.begin();
  const decoding = threads.run<DecodedBlob | undefined>(
    { type: "decode", source, output: archive, limits },
    onAnswer,
  );
  // Neither waits for the other once one has failed.
  applying.catch(cancel);
  decoding.catch(cancel);
  const [decoded, applied] = await Promise.allSettled([decoding, applying]);
  resetRing(archive);
  idleRings.push(archive);
  signal?.throwIfAborted();
  // How the blob is packed comes before what is in it.
  if (decoded.status === "rejected") throw decoded.reason;
  if (applied.status === "rejected") throw applied.reason;
  return decoded.value && applied.value && { ...decoded.value, ...applied.value };
}

function cancelOn(signal: AbortSignal | undefined, cancel: () => void): Disposable {
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();
  return { [Symbol.dispose]: () => signal?.removeEventListener("abort", cancel) };
}

function giveUpSource(source: DecodeJob["source"]): void {
  if (source.type === "growing") new GrowthWriter(source.growth).abort();
}

function sourceOf(blob: UnpackLayerOptions["blob"]): {
  readonly source: DecodeJob["source"];
  readonly hashing: BlobHashing | undefined;
} {
  if (typeof blob === "string") return { source: { type: "file", path: blob }, hashing: undefined };
  const { hashing, ...growing } = blob;
  return { source: { type: "growing", ...growing }, hashing };
}

/** What may be used of a file system, which is never filled to the last. */
async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return Math.floor(bavail * bsize * USABLE_SHARE);
}
