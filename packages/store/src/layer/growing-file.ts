/**
 * How far a file has grown, for another thread that reads it behind whoever writes it.
 *
 * @module
 */

/** What both threads are given. */
export interface SharedGrowth {
  readonly control: SharedArrayBuffer;
}

/** Thrown where a file is read that will not become whole. */
export class GrowthAbortedError extends Error {
  override readonly name = "GrowthAbortedError";
}

const LENGTH = 0;
/** In the second word, as one who sleeps sees it change. */
const TURNS = 2;
const STATE = 3;
const GROWING = 0;
const WHOLE = 1;
const ABORTED = 2;

export function createGrowth(): SharedGrowth {
  return { control: new SharedArrayBuffer(16) };
}

/** The side of whoever writes the file. */
export class GrowthWriter {
  readonly #length: BigInt64Array;
  readonly #words: Int32Array;

  constructor({ control }: SharedGrowth) {
    this.#length = new BigInt64Array(control);
    this.#words = new Int32Array(control);
  }

  /** So many bytes, from the first on, can be read. */
  grow(length: number): void {
    Atomics.store(this.#length, LENGTH, BigInt(length));
    this.#wake();
  }

  /** The file is as long as it will be. */
  end(): void {
    this.#set(WHOLE);
  }

  /** The file will not become whole, or nobody wants it any more. */
  abort(): void {
    this.#set(ABORTED);
  }

  #set(state: number): void {
    Atomics.compareExchange(this.#words, STATE, GROWING, state);
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.#words, TURNS, 1);
    Atomics.notify(this.#words, TURNS);
  }
}

/** The side of whoever reads it. */
export class GrowthReader {
  readonly #length: BigInt64Array;
  readonly #words: Int32Array;

  constructor({ control }: SharedGrowth) {
    this.#length = new BigInt64Array(control);
    this.#words = new Int32Array(control);
  }

  /**
   * How long the file is, as soon as that is more than `known`; `known` again when it is whole.
   * Blocks this thread meanwhile.
   *
   * @throws {@link GrowthAbortedError}
   */
  wait(known: number): number {
    for (;;) {
      const turns = Atomics.load(this.#words, TURNS);
      const state = Atomics.load(this.#words, STATE);
      const length = Number(Atomics.load(this.#length, LENGTH));
      if (state === ABORTED) throw new GrowthAbortedError();
      if (length > known || state === WHOLE) return length;
      Atomics.wait(this.#words, TURNS, turns);
    }
  }
}
