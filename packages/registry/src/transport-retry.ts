import { jitter, pause } from "./back-off.ts";
import { publishRetry } from "./diagnostics.ts";
import type { HostBudget } from "./host-budget.ts";
import { isPassing } from "./network-failure.ts";
import { parseRateLimit, type RateLimit } from "./rate-limit.ts";
import { type RateLimitPolicy, RateLimitTurn } from "./rate-limit-policy.ts";
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

/** An answer that was the last one for now, as its headers say. Told once, until there are more. */
export interface RateLimitSpentEvent extends RateLimit {
  readonly type: "rate-limit-spent";
  readonly url: string;
}

/** A request that is not sent again, since too many to the same host have failed. */
export interface RetriesSpentEvent {
  readonly type: "retries-spent";
  readonly url: string;
  /** How often it has been sent. */
  readonly attempt: number;
  readonly reason: number | string;
}

/** How {@link withRetry} repeats. */
export interface RetryOptions {
  /** Shared with all others who ask the same host. */
  readonly budget: HostBudget;
  /** @defaultValue 5 */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt; doubled for each further one. @defaultValue 400 */
  readonly delay?: number | undefined;
  readonly rateLimits?: RateLimitPolicy | undefined;
  readonly onEvent?:
    | ((event: RateLimitSpentEvent | RetriesSpentEvent | RetryEvent) => void)
    | undefined;
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
 * Repeats a GET, a HEAD or what else is repeatable that failed in passing, as far as the host's
 * budget goes. The answer of the last attempt is passed on, as is one whose `Retry-After` is longer
 * than {@link MAX_RETRY_AFTER}.
 *
 * Where a host says when it wants to be asked again, all who share the budget wait.
 */
export function withRetry(next: Transport, options: RetryOptions): Transport {
  const { budget, attempts = DEFAULT_ATTEMPTS, delay = DEFAULT_DELAY, onEvent } = options;
  const { rateLimits = {} } = options;
  return async (request, { signal }) => {
    const repeatable =
      request.method === "GET" || request.method === "HEAD" || request.repeatable === true;
    const tries = repeatable ? attempts : 1;
    const url = redactUrl(request.url);
    // A refusal by the budget is the last attempt's failure.
    const mayRepeat = (attempt: number, reason: number | string): boolean => {
      if (attempt >= tries) return false;
      if (budget.spend()) return true;
      onEvent?.({ type: "retries-spent", url, attempt, reason });
      return false;
    };
    const turn = new RateLimitTurn(request, budget, rateLimits);
    const again = (attempt: number, wait: number, reason: number | string): void => {
      const event = { type: "retry", url, attempt, delay: wait, reason } as const;
      onEvent?.(event);
      publishRetry(event);
    };
    let limited = 0;
    for (let attempt = 1; ; attempt += 1) {
      const backOff = jitter(delay * 2 ** (attempt + limited - 1));
      let wait: number;
      let reason: number | string;
      let forAll = false;
      for (let left = turn.before(); left > 0; left = turn.before()) {
        again(attempt + limited - 1, left, "ERR_REGISTRY_RATE_LIMITED");
        await pause(left, signal);
      }
      await budget.ready(signal);
      try {
        const response = await next(request, { signal });
        const rateLimit = parseRateLimit(response.headers, Date.now());
        if (rateLimit !== undefined && budget.noteRateLimit(rateLimit)) {
          onEvent?.({ type: "rate-limit-spent", url, ...rateLimit });
        }
        turn.note(response);
        if (!TRANSIENT_STATUSES.has(response.status)) {
          budget.restore();
          return response;
        }
        reason = response.status;
        wait = waitOf(response, backOff);
        const after =
          reason === 429 && repeatable ? turn.after(retryAfterOf(response), wait) : "usual";
        if (after === undefined) return response;
        if (after === "usual") {
          if (wait > MAX_RETRY_AFTER || !mayRepeat(attempt, reason)) return response;
          forAll = isAskingAll(response);
        } else {
          // Waiting for its turn is no attempt that failed.
          wait = after;
          attempt -= 1;
          limited += 1;
        }
        response.cancel();
      } catch (error) {
        reason = "ERR_REGISTRY_UNAVAILABLE";
        const isFinal = !isPassing(error) || settled.has(error as object);
        if (isFinal || !mayRepeat(attempt, reason)) throw error;
        wait = backOff;
      }
      again(attempt + limited, wait, reason);
      await (forAll ? budget.keepQuiet(wait, signal) : pause(wait, signal));
    }
  };
}

/** Marks a failure that has been retried as often as it may be. */
export function settle<Failure extends object>(failure: Failure): Failure {
  settled.add(failure);
  return failure;
}

/** Whether the answer is about the client or the host, rather than about this one request. */
function isAskingAll(response: TransportResponse): boolean {
  return response.status === 429 || retryAfterOf(response) !== undefined;
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
