/**
 * What is done where a registry lets itself be asked no more for now.
 *
 * @module
 */
import { jitter } from "./back-off.ts";
import type { HostBudget } from "./host-budget.ts";
import { limitHint, parseRateLimit } from "./rate-limit.ts";
import { redactUrl } from "./redact.ts";
import { RegistryError } from "./registry-error.ts";
import type { TransportRequest, TransportResponse } from "./transport.ts";

/** What a client does where a registry says, by a 429 or by its own count, that it was asked enough. */
export interface RateLimitPolicy {
  /**
   * Milliseconds that one request may wait in all; 0 fails at once. It is asked again as often as
   * fits in.
   *
   * @defaultValue each `Retry-After` of up to 60 s, as often as there are attempts
   */
  readonly wait?: number | undefined;
  /**
   * Ask the next place at once where there is one, a mirror or the repository itself, and leave the
   * one that was asked enough alone for as long as it said. `wait` is then for the last place.
   *
   * @defaultValue false
   */
  readonly nextPlace?: boolean | undefined;
}

// Who does not say for how long is left alone for as long as most count.
const USUAL_WINDOW = 60_000;
const SPREAD = 250;
// Who says "at once" is not asked in a circle.
const LEAST_WAIT = 100;

/** The policy, applied to one request. */
export class RateLimitTurn {
  readonly #request: TransportRequest;
  readonly #budget: HostBudget;
  readonly #policy: RateLimitPolicy;
  readonly #kind: string;
  #waited = 0;

  constructor(request: TransportRequest, budget: HostBudget, policy: RateLimitPolicy) {
    this.#request = request;
    this.#budget = budget;
    this.#policy = policy;
    // Registries count manifests, and not blobs, or each for itself.
    this.#kind = /\/(?:blobs|manifests|referrers|tags)\//u.exec(request.url.pathname)?.[0] ?? "";
  }

  /** Takes note of what an answer says of those to come. */
  note(response: TransportResponse): void {
    const { remaining, reset } = parseRateLimit(response.headers, Date.now()) ?? {};
    if (remaining !== 0 || reset === undefined) return;
    this.#budget.holdOff(this.#kind, reset * 1000);
  }

  /**
   * Milliseconds to wait before the request is sent at all, since the host has said that it is not
   * going to be answered. One that may not wait so long is sent: the host may have changed its mind.
   *
   * @throws {@link RegistryError} `ERR_REGISTRY_RATE_LIMITED` where the next place is to be asked.
   */
  before(): number {
    const left = this.#budget.heldOff(this.#kind);
    // A HEAD is not counted by all who count.
    if (left <= 0 || this.#request.method === "HEAD") return 0;
    if (this.#isForNext) throw this.#limited(left);
    // Those who waited together do not all come back in the same moment.
    return this.#take(left + jitter(SPREAD)) ?? 0;
  }

  /**
   * Milliseconds to wait after a 429 before the request is sent again.
   *
   * @param asked - that the host asked for.
   * @param backOff - where it did not.
   * @returns `undefined` where the answer stands; `"usual"` where nothing else was said than how
   *   failures in passing are repeated.
   */
  after(asked: number | undefined, backOff: number): number | "usual" | undefined {
    const left = asked ?? (this.#budget.heldOff(this.#kind) || undefined);
    if (this.#isForNext) {
      this.#budget.holdOff(this.#kind, left ?? USUAL_WINDOW);
      return undefined;
    }
    if (this.#policy.wait === undefined) return "usual";
    const milliseconds = Math.max(left ?? backOff, LEAST_WAIT);
    this.#budget.holdOff(this.#kind, milliseconds);
    return this.#take(milliseconds);
  }

  get #isForNext(): boolean {
    return this.#policy.nextPlace === true && this.#request.hasAlternative === true;
  }

  #take(milliseconds: number): number | undefined {
    const { wait } = this.#policy;
    if (wait === undefined || this.#waited + milliseconds > wait) return undefined;
    this.#waited += milliseconds;
    return milliseconds;
  }

  #limited(left: number): RegistryError {
    const { method } = this.#request;
    const url = redactUrl(this.#request.url);
    const retryAfter = Math.ceil(left);
    const seconds = Math.ceil(left / 1000);
    const { rateLimit } = this.#budget;
    return new RegistryError(
      "ERR_REGISTRY_RATE_LIMITED",
      `${method} ${url}: not asked, since the registry wants to be left alone for another ${seconds} s`,
      { method, url, retryAfter, rateLimit, hint: limitHint({ retryAfter, rateLimit }) },
    );
  }
}
