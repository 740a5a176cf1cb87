import type { Digest } from "@stowage/content";

import { createGrowth, GrowthWriter, type SharedGrowth } from "./layer/growing-file.ts";

/** A blob on its way into the store, for whoever wants to read what has come of it. */
export interface Arrival {
  /** Where it lies, until it is in the store. */
  readonly path: string;
  readonly growth: SharedGrowth;
  readonly size: number;
  /** Whether what was written there is not the blob after all. */
  readonly isGivenUp: boolean;
  /** For one who reads all of it from its first byte on, and hashes it. */
  readonly hashing: BlobHashing;
}

/** How somebody who hashes a blob while it comes says so, and what it came to. */
export interface BlobHashing {
  /** Nobody else has to. */
  begin(): void;
  /** All bytes have come, and this is their digest. */
  found(digest: Digest): void;
  /** It has ended, in whatever way. */
  end(): void;
}

/** The side of whoever takes the blob in. */
export interface ArrivalWriter {
  /** So many bytes lie there now. */
  grow(length: number): void;
  /** Whether somebody is hashing it already. */
  readonly isHashed: boolean;
  /** What they have found; nothing if there is nobody, or they failed. */
  hash(): Promise<Digest | undefined>;
  /** All bytes lie there; whether they are the right ones is seen later. */
  end(): void;
  /** The blob is in the store. */
  done(): void;
  /** What lies there will not become the blob. May be called at any time. */
  giveUp(): void;
}

/** What has to be known of a blob that comes. */
export interface ArrivalClaim {
  readonly digest: Digest;
  readonly size: number;
}

/** One who hashes at most, and one who waits for it. */
class SharedHashing implements BlobHashing {
  isRunning = false;
  #digest: Digest | undefined;
  #ended = Promise.withResolvers<void>();

  begin(): void {
    this.isRunning = true;
    this.#ended = Promise.withResolvers();
  }

  found(digest: Digest): void {
    this.#digest = digest;
    this.#ended.resolve();
  }

  end(): void {
    this.isRunning = false;
    this.#ended.resolve();
  }

  async result(): Promise<Digest | undefined> {
    if (this.isRunning) await this.#ended.promise;
    return this.#digest;
  }
}

/** The blobs that this process is taking into the store. */
export class Arrivals {
  readonly #current = new Map<Digest, Arrival>();
  readonly #waiting = new Map<Digest, Set<() => void>>();

  /** @param length - What lies there already. */
  begin({ digest, size }: ArrivalClaim, path: string, length: number): ArrivalWriter {
    const growth = createGrowth();
    const writer = new GrowthWriter(growth);
    const state = { isGivenUp: false, isOver: false };
    const hashing = new SharedHashing();
    const arrival: Arrival = {
      path,
      growth,
      size,
      hashing,
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
      get isHashed() {
        return hashing.isRunning;
      },
      hash: () => hashing.result(),
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
