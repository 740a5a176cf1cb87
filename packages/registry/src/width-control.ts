export interface WidthControlOptions {
  /** Bytes a second of one connection alone. */
  readonly rate: number;
  readonly maxWidth: number;
}

/** Milliseconds of one measurement. */
const INTERVAL = 1000;
// What one more connection has to add, or it is taken back: less is noise, or another's share.
const WORTHWHILE = 1.15;

/** Finds how many connections are worth it: one more as long as that makes the whole faster. */
export class WidthControl {
  readonly #maxWidth: number;
  #best: number;
  #width = 2;
  #isGrowing = true;
  #bytes = 0;
  #since = performance.now();

  constructor({ rate, maxWidth }: WidthControlOptions) {
    this.#best = rate;
    this.#maxWidth = maxWidth;
  }

  /** Connections to use now. */
  get current(): number {
    return this.#width;
  }

  /** Counts bytes that came over all of them together. */
  count(bytes: number, now: number = performance.now()): void {
    this.#bytes += bytes;
    const time = now - this.#since;
    if (!this.#isGrowing || time < INTERVAL) return;
    const rate = (this.#bytes * 1000) / time;
    if (rate < this.#best * WORTHWHILE) {
      this.#width -= 1;
      this.#isGrowing = false;
    } else if (this.#width < this.#maxWidth) {
      this.#best = rate;
      this.#width += 1;
    } else {
      this.#isGrowing = false;
    }
    this.#bytes = 0;
    this.#since = now;
  }
}
