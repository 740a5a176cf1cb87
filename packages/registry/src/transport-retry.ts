import { jitter, pause } from "./back-off.ts";
import { isPassing } from "./network-failure.ts";
import { redactUrl } from "./redact.ts";
import { parseRetryAfter } from "./retry-after.ts";
import type { Transport, TransportResponse } from "./transport.ts";

/** A request that is about to be sent again. */
export interface RetryEvent {
  readonly type: "retry";
  readonly url: string;
  /** How often it has been sent. */
  readonly attempt: number;
  /** Milliseconds. */
  readonly delay: number;
  /** The status or the error code that it failed with. */
  readonly reason: number | string;
}

/** How {@link withRetry} repeats. */
export interface RetryOptions {
  /** @defaultValue 5 */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt; doubled for each further one. @defaultValue 400 */
  readonly delay?: number | undefined;
  readonly onEvent?: ((event: RetryEvent) => void) | undefined;
}

/** The longest wait for a server's sake, in milliseconds; who asks for more is not waited for. */
export const MAX_RETRY_AFTER = 60_000;

/** How often what failed in passing is tried. */
export const DEFAULT_ATTEMPTS = 5;
/** Milliseconds before the second attempt. */
export const DEFAULT_DELAY = 400;
// A limited client that comes back at once is counted again, so it stays away for longer.
const RATE_LIMIT_FACTOR = 5;
// Failures that were retried where they happened; whoever is above does not do it again.
const settled = new WeakSet<object>();
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Repeats a GET, a HEAD or what else is repeatable that failed in passing. The answer of the last
 * attempt is passed on, as is one whose `Retry-After` is longer than {@link MAX_RETRY_AFTER}.
 */
export function withRetry(next: Transport, options: RetryOptions = {}): Transport {
  const { attempts = DEFAULT_ATTEMPTS, delay = DEFAULT_DELAY, onEvent } = options;
  return async (request, { signal }) => {
    const repeatable =
      request.method === "GET" || request.method === "HEAD" || request.repeatable === true;
    const tries = repeatable ? attempts : 1;
    for (let attempt = 1; ; attempt += 1) {
      const backOff = jitter(delay * 2 ** (attempt - 1));
      let wait: number;
      let reason: number | string;
      try {
        const response = await next(request, { signal });
        if (attempt >= tries || !TRANSIENT_STATUSES.has(response.status)) return response;
        wait = waitOf(response, backOff);
        if (wait > MAX_RETRY_AFTER) return response;
        reason = response.status;
        response.cancel();
      } catch (error) {
        if (attempt >= tries || !isPassing(error) || settled.has(error as object)) throw error;
        wait = backOff;
        reason = "ERR_REGISTRY_UNAVAILABLE";
      }
      onEvent?.({ type: "retry", url: redactUrl(request.url), attempt, delay: wait, reason });
      await pause(wait, signal);
    }
  };
}

/** Marks a failure that has been retried as often as it may be. */
export function settle<Failure extends object>(failure: Failure): Failure {
  settled.add(failure);
  return failure;
}

/** When the server said that it wants to be asked again, in milliseconds from now. */
export function retryAfterOf(response: TransportResponse): number | undefined {
  const header = response.headers["retry-after"];
  return parseRetryAfter(typeof header === "string" ? header : undefined, Date.now());
}

function waitOf(response: TransportResponse, backOff: number): number {
  const asked = retryAfterOf(response);
  if (asked !== undefined) return asked;
  return response.status === 429 ? Math.min(backOff * RATE_LIMIT_FACTOR, MAX_RETRY_AFTER) : backOff;
}
