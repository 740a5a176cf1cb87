import type { ByteSource } from "@stowage/content";

/** Bytes from `offset` to the one before `end`. */
export interface ByteRange {
  readonly offset: number;
  readonly end: number;
}

/** Opens a range, which delivers all of its bytes or fails. */
export type OpenRange = (range: ByteRange, signal: AbortSignal) => ByteSource;

/** Ranges on their way at once, so that none is waited for alone. */
const MAX_AHEAD = 4;
/** A longer one keeps a connection busy by itself. What is held in memory, a kill loses. */
const MAX_HELD = 256 * 1024;

/** Reads ranges one after another, and asks for the next small ones meanwhile. */
export class RangesAhead implements AsyncDisposable {
  readonly #open: OpenRange;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #left: ByteRange[];
  readonly #held = new Map<ByteRange, Promise<readonly Uint8Array[]>>();

  constructor(ranges: Iterable<ByteRange>, open: OpenRange, signal: AbortSignal | undefined) {
    this.#open = open;
    this.#left = [...ranges];
    const stop = this.#stop.signal;
    this.#signal = signal === undefined ? stop : AbortSignal.any([signal, stop]);
    this.#fill();
  }

  /** The ranges have to be read in their order. */
  async *read(range: ByteRange): ByteSource {
    const held = this.#held.get(range);
    if (held !== undefined) {
      const chunks = await held;
      this.#held.delete(range);
      this.#fill();
      yield* chunks;
      return;
    }
    if (this.#left[0] === range) this.#left.shift();
    this.#fill();
    yield* this.#open(range, this.#signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#held.values());
  }

  #fill(): void {
    while (this.#held.size < MAX_AHEAD) {
      const next = this.#left[0];
      if (next === undefined || next.end - next.offset > MAX_HELD) return;
      this.#left.shift();
      const held = Array.fromAsync(this.#open(next, this.#signal));
      // Told to whoever reads it.
      held.catch(() => {});
      this.#held.set(next, held);
    }
  }
}
