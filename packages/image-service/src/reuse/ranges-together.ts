import type { ByteSource } from "@stowage/content";

import type { ByteRange } from "./read-ahead.ts";

/** Opens ranges that come one behind the other. */
export type OpenRanges = (ranges: readonly ByteRange[], signal: AbortSignal) => ByteSource;

/** Reads ranges one after another that are asked for in one go: many small ones. */
export class RangesTogether implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #bytes: AsyncIterator<Uint8Array>;
  #next: Promise<IteratorResult<Uint8Array>>;
  #held = new Uint8Array(0);

  constructor(ranges: readonly ByteRange[], open: OpenRanges, signal: AbortSignal | undefined) {
    const stop = this.#stop.signal;
    const until = signal === undefined ? stop : AbortSignal.any([signal, stop]);
    this.#bytes = open(ranges, until)[Symbol.asyncIterator]();
    // Asked for at once: what comes before the first of them may take a while to copy.
    this.#next = this.#bytes.next();
    this.#next.catch(() => {});
  }

  /** The ranges have to be read in their order. */
  async *read({ offset, end }: ByteRange): ByteSource {
    for (let left = end - offset; left > 0;) {
      if (this.#held.byteLength === 0) {
        const next = await this.#next;
        if (next.done) throw new Error(`no bytes ${offset}-${end}`);
        this.#held = next.value as Uint8Array<ArrayBuffer>;
        this.#next = this.#bytes.next();
        this.#next.catch(() => {});
      }
      const bytes = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(bytes.byteLength);
      left -= bytes.byteLength;
      yield bytes;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // What ends it here was wanted.
    await this.#bytes.return?.().catch(() => {});
  }
}
