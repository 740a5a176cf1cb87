import { jitter, pause } from "./back-off.ts";
import type { RateLimit } from "./rate-limit.ts";

// One request may fail for as long as it is tried; many that fail at once are not all tried that
// often, or a host that is dying would be asked the more, the more is wanted of it.
const MAX_RETRIES = 10;
const REFILL_TIME = 10_000;
// Those who waited on another's account do not all come back in the same moment.
const SPREAD = 250;
// Timers are no more exact than this, in milliseconds.
const SLACK = 5;

/** What all requests of a client to one host share: how often they try again, and when. */
export class HostBudget {
  /** What the host last said of how often it may be asked. */
  get rateLimit(): RateLimit | undefined {
    return this.#rateLimit;
  }
  #rateLimit: RateLimit | undefined;
  readonly #turn: (signal: AbortSignal | undefined) => Promise<void>;
  readonly #heldOff = new Map<string, number>();
  #isSpent = false;
  #retries = MAX_RETRIES;
  #refilled = performance.now();
  #quietUntil = 0;
  #waiting = 0;

  /** @param turn - waits for a request's turn, where only so many are sent in a time. */
  constructor(turn: (signal: AbortSignal | undefined) => Promise<void> = async () => {}) {
    this.#turn = turn;
  }

  /** Takes note of what the host said; `true` if that was the last request it lets us have. */
  noteRateLimit(found: RateLimit): boolean {
    const isSpent = found.remaining !== undefined && found.remaining <= 0;
    const isNews = isSpent && !this.#isSpent;
    this.#isSpent = isSpent;
    this.#rateLimit = found;
    return isNews;
  }

  /** Takes note that the host is not going to answer requests of a kind for so many milliseconds. */
  holdOff(kind: string, milliseconds: number): void {
    this.#heldOff.set(kind, performance.now() + milliseconds);
  }

  /** Milliseconds for which it is not going to answer requests of a kind, as it said. */
  heldOff(kind: string): number {
    return Math.max(0, (this.#heldOff.get(kind) ?? 0) - performance.now());
  }

  /** Takes one retry out; `false` if there is none left. What fails while all wait is not counted. */
  spend(): boolean {
    const now = performance.now();
    if (this.#quietUntil > now) return true;
    const gained = Math.floor((now - this.#refilled) / REFILL_TIME);
    if (gained > 0) {
      this.#retries = Math.min(this.#retries + gained, MAX_RETRIES);
      this.#refilled += gained * REFILL_TIME;
    }
    if (this.#retries === 0) return false;
    this.#retries -= 1;
    return true;
  }

  /** An answer that shows the host to be well gives a retry back. */
  restore(): void {
    this.#retries = Math.min(this.#retries + 1, MAX_RETRIES);
  }

  /**
   * Waits for so many milliseconds, and has all others wait with it; should all of them give up, the
   * host may be asked again.
   */
  async keepQuiet(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    this.#quietUntil = Math.max(this.#quietUntil, performance.now() + milliseconds);
    await this.#wait(milliseconds, signal);
  }

  /** Resolves when the host may be asked; rejects with the signal's reason. */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      const left = this.#quietUntil - performance.now();
      if (left <= SLACK) break;
      await this.#wait(left + jitter(SPREAD), signal);
    }
    await this.#turn(signal);
  }

  async #wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    this.#waiting += 1;
    try {
      await pause(milliseconds, signal);
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#quietUntil = 0;
    }
  }
}
