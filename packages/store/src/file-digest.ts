import type { FileHandle } from "node:fs/promises";

import { algorithmOf, createDigester, type Digest, type Digester } from "@stowage/content";

import { type DigestThread, theDigestThread } from "./digest-thread.ts";

/** The digest of a file that grows, of its bytes from the first on. */
export interface FileDigest {
  /** Whether it has to see each chunk; else it reads later what it was not told of. */
  readonly isInline: boolean;
  /** `chunks` have been appended; `length` is the file's now. */
  update(chunks: readonly Uint8Array[], length: number): void;
  /** The file has been emptied. */
  restart(): void;
  /**
   * May be followed by {@link FileDigest.restart}, and by nothing else.
   *
   * @throws {@link StoreError} `ERR_STORE_IO` if the file cannot be read.
   */
  finish(length: number, signal?: AbortSignal): Promise<Digest>;
  /** Nobody wants to know any more. May be called at any time. */
  drop(): void;
}

export interface FileDigestOptions {
  readonly path: string;
  readonly file: FileHandle;
  /** What the file should come to; only its algorithm matters here. */
  readonly digest: Digest;
  /** What the file will have in the end, in bytes. */
  readonly size: number;
  /** What is in it already. */
  readonly length: number;
}

// A smaller file is hashed before a thread would have been told of it.
const MIN_THREAD_BYTES = 16 * 1024 * 1024;
const READ_BYTES = 256 * 1024;
// How much has to be new for the thread to be told.
const STEP = 1024 * 1024;

/** Hashes a small file here, and a large one in another thread, which reads what is there already. */
export async function createFileDigest(options: FileDigestOptions): Promise<FileDigest> {
  if (options.size >= MIN_THREAD_BYTES) return new ThreadDigest(options);
  const digester = createDigester(algorithmOf(options.digest));
  const piece = Buffer.allocUnsafe(Math.min(READ_BYTES, options.length));
  for (let position = 0; position < options.length;) {
    const wanted = Math.min(piece.length, options.length - position);
    const { bytesRead } = await options.file.read(piece, 0, wanted, position);
    if (bytesRead === 0) break;
    digester.update(piece.subarray(0, bytesRead));
    position += bytesRead;
  }
  return new InlineDigest(options.digest, digester);
}

class InlineDigest implements FileDigest {
  readonly isInline = true;
  readonly #digest: Digest;
  #digester: Digester;

  constructor(digest: Digest, digester: Digester) {
    this.#digest = digest;
    this.#digester = digester;
  }

  update(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#digester.update(chunk);
  }

  restart(): void {
    this.#digester = createDigester(algorithmOf(this.#digest));
  }

  async finish(): Promise<Digest> {
    return this.#digester.digest();
  }

  drop(): void {}
}

/** What the thread has been asked. */
interface DigestJob {
  readonly thread: DigestThread;
  readonly id: number;
  readonly answer: Promise<Digest>;
}

class ThreadDigest implements FileDigest {
  readonly isInline = false;
  readonly #options: FileDigestOptions;
  #job: DigestJob | undefined;
  #told = 0;

  constructor(options: FileDigestOptions) {
    this.#options = options;
    this.update([], options.length);
  }

  update(_: readonly Uint8Array[], length: number): void {
    if (length - this.#told < STEP) return;
    this.#told = length;
    this.#tell("grow", length);
  }

  restart(): void {
    this.drop();
    this.#job = undefined;
    this.#told = 0;
  }

  async finish(length: number, signal?: AbortSignal): Promise<Digest> {
    const { answer } = this.#tell("finish", length);
    const { promise: given, reject } = Promise.withResolvers<never>();
    const giveUp = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      signal?.throwIfAborted();
      return await Promise.race([answer, given]);
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  drop(): void {
    this.#job?.thread.tell({ type: "drop", id: this.#job.id });
    this.#job?.thread.remove(this.#job.id);
  }

  #tell(type: "finish" | "grow", to: number): DigestJob {
    const job = (this.#job ??= this.#begin());
    job.thread.tell({ type, id: job.id, to });
    return job;
  }

  #begin(): DigestJob {
    const { path, digest } = this.#options;
    const thread = theDigestThread();
    const { promise: answer, resolve, reject } = Promise.withResolvers<Digest>();
    const id = thread.add({ resolve, reject });
    // It may fail long before anybody waits for it.
    answer.catch(() => {});
    thread.tell({ type: "begin", id, path, algorithm: algorithmOf(digest) });
    return { thread, id, answer };
  }
}
