import type { ByteSource } from "@stowage/content";

import { pause } from "./back-off.ts";
import { RegistryError } from "./registry-error.ts";

/** Milliseconds of the rate that may be made up for after a pause. */
const BURST = 100;
/** Milliseconds; timers take no more than this. */
const LONGEST = 2 ** 31 - 1;

/**
 * How many bytes a second the bodies of requests and answers may have, of all together who share
 * this. It may be changed while they run.
 */
export class BandwidthLimit {
  #rate: number;
  #since = performance.now();
  #taken = 0;
  #allowed = 0;
  #changed = new AbortController();

  /**
   * @param bytesPerSecond - `Infinity` for as many as come.
   * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT` unless it is over 0.
   */
  constructor(bytesPerSecond: number) {
    this.#rate = checkRate(bytesPerSecond);
  }

  get bytesPerSecond(): number {
    return this.#rate;
  }

  set bytesPerSecond(rate: number) {
    checkRate(rate);
    this.#accrue();
    this.#rate = rate;
    // Who waits finds out anew for how long.
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  /** Passes a source on at the rate. What was given out counts, even if its reader gives up. */
  async *slow(source: ByteSource, signal: AbortSignal | undefined): ByteSource {
    for await (const chunk of source) {
      await this.#take(chunk.byteLength, signal);
      yield chunk;
    }
  }

  async #take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#accrue();
    this.#taken += bytes;
    const mark = this.#taken;
    for (;;) {
      this.#accrue();
      const wait = ((mark - this.#allowed) / this.#rate) * 1000;
      if (wait <= 0) return;
      const changed = this.#changed.signal;
      const ends = signal === undefined ? changed : AbortSignal.any([signal, changed]);
      try {
        await pause(Math.min(Math.ceil(wait), LONGEST), ends);
      } catch (error) {
        signal?.throwIfAborted();
        if (!changed.aborted) throw error;
      }
    }
  }

  #accrue(): void {
    const now = performance.now();
    const gained = ((now - this.#since) * this.#rate) / 1000;
    this.#since = now;
    // What nobody took is not saved up.
    const most = this.#taken + (this.#rate * BURST) / 1000;
    this.#allowed = Number.isFinite(this.#rate)
      ? Math.min(this.#allowed + gained, most)
      : this.#taken;
  }
}

function checkRate(rate: number): number {
  if (rate > 0) return rate;
  const message = `${rate} bytes a second let nothing through`;
  throw new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message, {
    hint: "Give a number over 0, or Infinity for no limit.",
  });
}
