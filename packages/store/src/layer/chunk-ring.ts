/**
 * Bytes on their way from one thread to another, without a message and without a copy for each.
 *
 * One side fills slots of shared memory in turn, the other empties them in the same order. Whoever is
 * ahead sleeps in the kernel until the other has caught up.
 *
 * @module
 */

/** What both threads are given of a ring. */
export interface SharedRing {
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
}

/** Thrown on either side once the ring has been given up. */
export class RingAbortedError extends Error {
  override readonly name = "RingAbortedError";
}

const FILLED = 0;
const EMPTIED = 1;
const LENGTHS = 2;
/** Makes both counters other numbers, so that no one sleeps on them any more. */
const ABORTED = 0x4000_0000;
/** In place of a length: nothing follows. */
const END = -1;

/** Memory for a ring of `slots` pieces of up to `slotBytes`. */
export function createRing(slots: number, slotBytes: number): SharedRing {
  return {
    control: new SharedArrayBuffer(4 * (LENGTHS + slots)),
    data: new SharedArrayBuffer(slots * slotBytes),
  };
}

/** Makes a ring as good as new. Nobody may use it any more. */
export function resetRing({ control }: SharedRing): void {
  new Int32Array(control).fill(0);
}

/** Wakes both sides; what is not emptied yet is lost. */
export function abortRing(ring: SharedRing): void {
  const control = new Int32Array(ring.control);
  for (const counter of [FILLED, EMPTIED]) {
    Atomics.or(control, counter, ABORTED);
    Atomics.notify(control, counter);
  }
}

/** The side that fills. */
export class RingWriter {
  readonly #control: Int32Array;
  readonly #slots: readonly Buffer[];
  #filled = 0;

  constructor(ring: SharedRing) {
    this.#control = new Int32Array(ring.control);
    this.#slots = slotsOf(ring);
  }

  /**
   * The next slot, as soon as it is empty; blocks this thread until then.
   *
   * @throws {@link RingAbortedError}
   */
  reserve(): Buffer {
    for (let emptied = this.#room(); emptied !== undefined; emptied = this.#room()) {
      Atomics.wait(this.#control, EMPTIED, emptied);
    }
    return this.#slot();
  }

  /** Hands over the first `length` bytes of the reserved slot. */
  commit(length: number): void {
    Atomics.store(this.#control, LENGTHS + (this.#filled % this.#slots.length), length);
    this.#filled += 1;
    Atomics.add(this.#control, FILLED, 1);
    Atomics.notify(this.#control, FILLED);
  }

  /** Says that nothing follows. The next slot must be reserved. */
  end(): void {
    this.commit(END);
  }

  /** What to wait on while all slots are full. */
  #room(): number | undefined {
    const emptied = Atomics.load(this.#control, EMPTIED);
    if ((emptied & ABORTED) !== 0) throw new RingAbortedError();
    return this.#filled - emptied < this.#slots.length ? undefined : emptied;
  }

  #slot(): Buffer {
    return this.#slots[this.#filled % this.#slots.length] as Buffer;
  }
}

/** The side that empties. */
export class RingReader implements Iterable<Buffer> {
  readonly #control: Int32Array;
  readonly #slots: readonly Buffer[];

  constructor(ring: SharedRing) {
    this.#control = new Int32Array(ring.control);
    this.#slots = slotsOf(ring);
  }

  /**
   * What was filled, in order; blocks this thread while there is nothing. Each chunk is valid until
   * the next is asked for.
   *
   * @throws {@link RingAbortedError}
   */
  *[Symbol.iterator](): Generator<Buffer, void, undefined> {
    for (let emptied = 0; ; emptied += 1) {
      for (;;) {
        const filled = Atomics.load(this.#control, FILLED);
        if ((filled & ABORTED) !== 0) throw new RingAbortedError();
        if (filled > emptied) break;
        Atomics.wait(this.#control, FILLED, filled);
      }
      const slot = emptied % this.#slots.length;
      const length = Atomics.load(this.#control, LENGTHS + slot);
      if (length === END) return;
      yield (this.#slots[slot] as Buffer).subarray(0, length);
      Atomics.add(this.#control, EMPTIED, 1);
      Atomics.notify(this.#control, EMPTIED);
    }
  }
}

function slotsOf({ control, data }: SharedRing): readonly Buffer[] {
  const count = control.byteLength / 4 - LENGTHS;
  const bytes = data.byteLength / count;
  return Array.from({ length: count }, (_, index) => Buffer.from(data, index * bytes, bytes));
}
