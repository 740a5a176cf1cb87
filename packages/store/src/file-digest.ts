import type { FileHandle } from "node:fs/promises";

import { algorithmOf, createDigester, type Digest, type Digester } from "@stowage/content";

import { theDigestThread } from "./digest-thread.ts";

/** The digest of a file that grows, of its bytes from the first on. */
export interface FileDigest {
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
const MIN_THREAD_BYTES = 4 * 1024 * 1024;
// How much has to be new for the thread to be told.
const STEP = 1024 * 1024;

/** Hashes a small file here, and a large one in another thread, which reads what is there already. */
export async function createFileDigest(options: FileDigestOptions): Promise<FileDigest> {
  if (options.size >= MIN_THREAD_BYTES) return new ThreadDigest(options);
  const digester = createDigester(algorithmOf(options.digest));
  const start = Buffer.allocUnsafe(options.length);
  const { bytesRead } = await options.file.read(start, 0, start.length, 0);
  return new InlineDigest(options.digest, digester.update(start.subarray(0, bytesRead)));
}

class InlineDigest implements FileDigest {
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

class ThreadDigest implements FileDigest {
  readonly #thread = theDigestThread();
  readonly #options: FileDigestOptions;
  #job: { readonly id: number; readonly answer: Promise<Digest> };
  #told = 0;
  #isFinished = false;

  constructor(options: FileDigestOptions) {
    this.#options = options;
    this.#job = this.#begin();
    if (options.length > 0) this.#tellLength(options.length);
  }

  update(_: readonly Uint8Array[], length: number): void {
    if (length - this.#told >= STEP) this.#tellLength(length);
  }

  restart(): void {
    this.#told = 0;
    if (this.#isFinished) this.#job = this.#begin();
    else this.#thread.tell({ type: "restart", id: this.#job.id });
    this.#isFinished = false;
  }

  async finish(length: number, signal?: AbortSignal): Promise<Digest> {
    this.#isFinished = true;
    this.#thread.tell({ type: "finish", id: this.#job.id, to: length });
    const { promise: given, reject } = Promise.withResolvers<never>();
    const giveUp = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      signal?.throwIfAborted();
      return await Promise.race([this.#job.answer, given]);
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  drop(): void {
    this.#thread.tell({ type: "drop", id: this.#job.id });
    this.#thread.remove(this.#job.id);
  }

  #begin(): { readonly id: number; readonly answer: Promise<Digest> } {
    const { path, digest } = this.#options;
    const { promise: answer, resolve, reject } = Promise.withResolvers<Digest>();
    const id = this.#thread.add({ resolve, reject });
    // It may fail long before anybody waits for it.
    answer.catch(() => {});
    this.#thread.tell({ type: "begin", id, path, algorithm: algorithmOf(digest) });
    return { id, answer };
  }

  #tellLength(length: number): void {
    this.#told = length;
    this.#thread.tell({ type: "grow", id: this.#job.id, to: length });
  }
}
