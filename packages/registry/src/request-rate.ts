import { pause } from "./back-off.ts";
import { RegistryError } from "./registry-error.ts";

/**
 * How many requests a second each registry is asked, of all clients that share this; retries are
 * among them.
 */
export class RequestRate {
  readonly #interval: number;
  /** When each host may be asked next, on the monotonic clock. */
  readonly #next = new Map<string, number>();

  /**
   * @param requestsPerSecond - `Infinity` for as many as come.
   * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT` unless it is over 0.
   */
  constructor(requestsPerSecond: number) {
    if (!(requestsPerSecond > 0)) {
      const message = `${requestsPerSecond} requests a second are none`;
      throw new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message);
    }
    this.#interval = 1000 / requestsPerSecond;
  }

  /** Resolves when it is this request's turn at a host; rejects with the signal's reason. */
  async turn(host: string, signal: AbortSignal | undefined): Promise<void> {
    const now = performance.now();
    const turn = Math.max(now, this.#next.get(host) ?? 0);
    this.#next.set(host, turn + this.#interval);
    if (turn > now) await pause(turn - now, signal);
  }
}
