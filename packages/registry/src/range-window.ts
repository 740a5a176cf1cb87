import { type ByteSource, ContentError, type Digest } from "@stowage/content";

import { openBlobPart } from "./blob-part.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { WidthControl } from "./width-control.ts";

/** What {@link RangeWindow} reads. */
export interface RangeWindowOptions {
  readonly connection: RegistryConnection;
  readonly digest: Digest;
  /** Of the whole blob, in bytes. */
  readonly size: number;
  /** The first byte to read. */
  readonly start: number;
  /** The strong validator that all ranges have to belong to. */
  readonly validator: string;
  /** Bytes a second of one connection alone. */
  readonly rate: number;
  /** The most connections at once. */
  readonly maxWidth: number;
  readonly signal: AbortSignal | undefined;
  /** Told the number of connections whenever that changes. */
  readonly onWidth?: ((width: number) => void) | undefined;
}

interface Range {
  readonly end: number;
  readonly chunks: Uint8Array[];
  /** Bytes of it that have not come yet. */
  missing: number;
  error: unknown;
  wake: () => void;
}

const MIN_RANGE = 1024 * 1024;
// Times the connections, what is held in memory when the first of them is the slowest.
const MAX_RANGE = 4 * 1024 * 1024;
// Long enough for the pause before each request not to count, and no more: a kill loses what is held.
const RANGE_SECONDS = 0.5;

/**
 * Reads the rest of a blob over several connections, each for a range of it, and passes the bytes on
 * in their order. At most 4 MiB are held for each connection.
 *
 * It takes only slots of the host that nobody waits for, but for one.
 */
export class RangeWindow implements AsyncDisposable {
  readonly start: number;
  /** Set when a range failed: what has been read is good, the rest is to be got another way. */
  failure: unknown;
  /** Set when the server has answered one range as it should. */
  isProven = false;
  readonly #options: RangeWindowOptions;
  readonly #rangeBytes: number;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #ranges: Range[] = [];
  readonly #running = new Set<Promise<void>>();
  #control: WidthControl | undefined;
  #next: number;

  /**
   * Begins with one range, so that a server that cannot do it is known before it is relied upon.
   *
   * @returns `undefined` if the host has no room for it now.
   */
  static begin(options: RangeWindowOptions): RangeWindow | undefined {
    const slot = options.connection.blobSlots.tryAcquire();
    return slot === undefined ? undefined : new RangeWindow(options, slot);
  }

  private constructor(options: RangeWindowOptions, slot: Disposable) {
    const { start, rate, signal } = options;
    this.#options = options;
    this.start = start;
    this.#next = start;
    this.#rangeBytes = Math.round(Math.min(Math.max(rate * RANGE_SECONDS, MIN_RANGE), MAX_RANGE));
    const stop = this.#stop.signal;
    this.#signal = signal === undefined ? stop : AbortSignal.any([signal, stop]);
    this.#launch(slot);
  }

  /** The bytes from `start` on, until the end or until more connections do not help any more. */
  async *read(): ByteSource {
    const { connection, size, rate, maxWidth, onWidth } = this.#options;
    let told = 1;
    for (let position = this.start; position < size;) {
      const width = this.#control?.current ?? 2;
      // One connection alone is better read without gaps between its ranges.
      if (width === 1 && this.#ranges.length === 0) return;
      if (width !== told) onWidth?.((told = width));
      this.#fill(width);
      if (this.#ranges.length === 0) {
        this.#launch(await connection.blobSlots.acquire(this.#signal));
      }
      const range = this.#ranges[0] as Range;
      for await (const chunk of this.#drain(range)) {
        position += chunk.byteLength;
        yield chunk;
      }
      if (range.error !== undefined) return;
      this.#ranges.shift();
      // The first range was alone for a while, and would make two look slow.
      this.#control ??= new WidthControl({ rate, maxWidth });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  #fill(width: number): void {
    if (width === 1) return;
    while (this.#ranges.length < width && this.#next < this.#options.size) {
      const slot = this.#options.connection.blobSlots.tryAcquire();
      if (slot === undefined) return;
      this.#launch(slot);
    }
  }

  #launch(slot: Disposable): void {
    const first = this.#next;
    const end = Math.min(first + this.#rangeBytes, this.#options.size);
    this.#next = end;
    const wake = (): void => {};
    const range: Range = { end, chunks: [], missing: end - first, error: undefined, wake };
    this.#ranges.push(range);
    const running = this.#fetch(range, first, slot).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #fetch(range: Range, first: number, slot: Disposable): Promise<void> {
    const { connection, digest, size, validator } = this.#options;
    const signal = this.#signal;
    using _slot = slot;
    try {
      const wanted = { digest, size, offset: first, end: range.end, validator, signal };
      const part = await openBlobPart(connection, wanted);
      if (part.isWhole) throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", "not a range");
      this.isProven = true;
      for await (const chunk of part.bytes) {
        if (chunk.byteLength > range.missing) {
          throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: a range is too long`);
        }
        range.chunks.push(chunk);
        range.missing -= chunk.byteLength;
        // As they come, not as they are passed on: that is in leaps, a range at a time.
        this.#control?.count(chunk.byteLength);
        range.wake();
      }
      if (range.missing > 0) {
        throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: a range is too short`);
      }
    } catch (error) {
      range.error = error;
      // Known to who decides whether to rely on this, too.
      this.failure ??= error;
      range.wake();
    }
  }

  async *#drain(range: Range): ByteSource {
    for (;;) {
      const chunk = range.chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (range.error !== undefined || range.missing === 0) return;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        range.wake = resolve;
        await promise;
      }
    }
  }
}
