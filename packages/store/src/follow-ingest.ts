import { lstatSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { type BlobClaim, ingestDirectory } from "./ingest.ts";
import type { StoreContext } from "./store-context.ts";

/** How {@link IngestFollower} follows. */
export interface FollowOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes that are here, as they become more. */
  readonly onProgress?: ((received: number) => void) | undefined;
  /** Milliseconds without a byte after which the other is not followed any more. */
  readonly patience: number;
}

const PAUSE = 100;

/** Watches the download of another process, or of another caller in this one. */
export class IngestFollower {
  readonly #path: string;
  readonly #options: FollowOptions;
  #seen = -1;
  #grown = performance.now();

  constructor(context: StoreContext, claim: BlobClaim, options: FollowOptions) {
    this.#path = join(ingestDirectory(context, claim), "data");
    this.#options = options;
  }

  /**
   * Waits a moment.
   *
   * @returns `false` once the other has got no further for too long.
   */
  async wait(): Promise<boolean> {
    const { signal, onProgress, patience } = this.#options;
    const size = lstatSync(this.#path, { throwIfNoEntry: false })?.size;
    if (size !== undefined && size !== this.#seen) {
      this.#seen = size;
      this.#grown = performance.now();
      onProgress?.(size);
    }
    if (performance.now() - this.#grown > patience) return false;
    signal?.throwIfAborted();
    try {
      await delay(PAUSE, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
    return true;
  }
}
