import type { Digest } from "@stowage/content";

import { createGrowth, GrowthWriter, type SharedGrowth } from "./layer/growing-file.ts";

/** A blob on its way into the store, for whoever wants to read what has come of it. */
export interface Arrival {
  /** Where it lies, until it is in the store. */
  readonly path: string;
  readonly growth: SharedGrowth;
  /** Whether what was written there is not the blob after all. */
  readonly isGivenUp: boolean;
}

/** The side of whoever takes the blob in. */
export interface ArrivalWriter {
  /** So many bytes lie there now. */
  grow(length: number): void;
  /** All bytes lie there; whether they are the right ones is seen later. */
  end(): void;
  /** The blob is in the store. */
  done(): void;
  /** What lies there will not become the blob. May be called at any time. */
  giveUp(): void;
}

/** The blobs that this process is taking into the store. */
export class Arrivals {
  readonly #current = new Map<Digest, Arrival>();
  readonly #waiting = new Map<Digest, Set<() => void>>();

  begin(digest: Digest, path: string, length: number): ArrivalWriter {
    const growth = createGrowth();
    const writer = new GrowthWriter(growth);
    const state = { isGivenUp: false, isOver: false };
    const arrival: Arrival = {
      path,
      growth,
      get isGivenUp() {
        return state.isGivenUp;
      },
    };
    const leave = (): void => {
      state.isOver = true;
      if (this.#current.get(digest) === arrival) this.#current.delete(digest);
    };
    writer.grow(length);
    this.#current.set(digest, arrival);
    for (const wake of this.#waiting.get(digest) ?? []) wake();
    return {
      grow: (now) => writer.grow(now),
      end: () => writer.end(),
      done: leave,
      giveUp: () => {
        if (state.isOver) return;
        state.isGivenUp = true;
        writer.abort();
        leave();
      },
    };
  }

  /** What is arriving, as soon as something is; nothing, once `over` has settled before. */
  async next(digest: Digest, over: Promise<unknown>): Promise<Arrival | undefined> {
    const waiting = this.#waiting.get(digest) ?? new Set();
    this.#waiting.set(digest, waiting);
    const { promise: begun, resolve: wake } = Promise.withResolvers<void>();
    waiting.add(wake);
    try {
      const arrival = this.#current.get(digest);
      if (arrival !== undefined) return arrival;
      await Promise.race([begun, over]);
    } catch {
      // Whoever waits for the blob is told by `over` itself.
    } finally {
      waiting.delete(wake);
      if (waiting.size === 0) this.#waiting.delete(digest);
    }
    return this.#current.get(digest);
  }
}
