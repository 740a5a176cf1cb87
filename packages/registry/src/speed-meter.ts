/** Milliseconds that are measured before anything is said. */
const MIN_TIME = 2000;

/** Measures how fast bytes come, and whether it is their sender or their reader that is slow. */
export class SpeedMeter {
  readonly #started = performance.now();
  #bytes = 0;
  #waited = 0;
  #asked = performance.now();

  /** The reader asks for more. */
  ask(): void {
    this.#asked = performance.now();
  }

  /** Bytes have come. */
  count(bytes: number): void {
    this.#waited += performance.now() - this.#asked;
    this.#bytes += bytes;
  }

  /** Bytes a second, if the sender is what holds the reading up; `undefined` if not, or too early. */
  senderRate(): number | undefined {
    const time = performance.now() - this.#started;
    if (time < MIN_TIME || this.#waited * 2 < time) return undefined;
    return (this.#bytes * 1000) / time;
  }
}
