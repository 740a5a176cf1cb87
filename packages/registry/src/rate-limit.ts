import type { ResponseHeaders } from "./transport.ts";

/** How often a registry lets itself be asked, as it said itself. */
export interface RateLimit {
  /** Requests in a window. */
  readonly limit?: number;
  /** How many of them are left. */
  readonly remaining?: number;
  /** Length of the window in seconds. */
  readonly window?: number;
  /** Seconds until there are more. */
  readonly reset?: number;
}

// Above it a number is a moment, in seconds since 1970, not a time from now.
const EPOCH = 1_000_000_000;

/**
 * What the headers of an answer say: `RateLimit-Limit: 100;w=21600`, as Docker Hub and the earlier
 * drafts of the IETF have it, `RateLimit: "default";r=50;t=30` of the later ones, or
 * `X-RateLimit-Limit`. `undefined` if there is nothing usable.
 *
 * @param now - milliseconds since the epoch, for a reset that is a moment.
 */
export function parseRateLimit(headers: ResponseHeaders, now: number): RateLimit | undefined {
  const [, current = ""] = named(headers, "ratelimit") ?? [];
  const [, policy = ""] = named(headers, "ratelimit-policy") ?? [];
  const limit = first(headers, "limit");
  const remaining = first(headers, "remaining");
  const reset = toDelay(first(headers, "reset") ?? parameter(current, "t"), now);
  const found = {
    limit: limit ?? parameter(policy, "q"),
    remaining: remaining ?? parameter(current, "r"),
    window:
      parameter(textOf(headers, "limit"), "w") ??
      parameter(textOf(headers, "remaining"), "w") ??
      parameter(policy, "w"),
    reset,
  };
  const known = Object.entries(found).filter(([, value]) => value !== undefined);
  return known.length === 0 ? undefined : Object.fromEntries(known);
}

/** What a registry said of when it may be asked again. */
export interface LimitTold {
  readonly rateLimit: RateLimit | undefined;
  /** Milliseconds that it asked to be left alone for. */
  readonly retryAfter: number | undefined;
}

/** What to do where a registry was asked too often. */
export function limitHint({ rateLimit, retryAfter }: LimitTold): string {
  const seconds = retryAfter === undefined ? undefined : Math.ceil(retryAfter / 1000);
  const left = seconds === undefined ? "" : `It wants to be left alone for ${seconds} s. `;
  return `${describeLimit(rateLimit)}${left}Wait, or have it waited for (--on-rate-limit ${enough(seconds)}; next asks another mirror), or log in (stowage login): most registries allow more to those they know.`;
}

/** A time to wait for, as people write it. */
function enough(seconds = 900): string {
  if (seconds < 600) return `${seconds + 5}s`;
  return seconds < 36_000 ? `${Math.ceil(seconds / 60)}m` : `${Math.ceil(seconds / 3600)}h`;
}

function describeLimit({ limit, window, reset }: RateLimit = {}): string {
  const count = limit === undefined ? "" : `The registry allows ${limit} requests`;
  const per = count === "" || window === undefined ? "" : ` in ${window} s`;
  const again =
    reset === undefined ? "" : `${count === "" ? "There are" : ", and"} more in ${reset} s`;
  return `${count}${per}${again}` === "" ? "" : `${count}${per}${again}. `;
}

function textOf(headers: ResponseHeaders, name: string): string {
  const value = headers[`ratelimit-${name}`] ?? headers[`x-ratelimit-${name}`];
  return typeof value === "string" ? value : "";
}

function first(headers: ResponseHeaders, name: string): number | undefined {
  return numberOf(/^\s*(\d{1,12})\s*(?:[;,]|$)/u.exec(textOf(headers, name))?.[1]);
}

/** A header of the later drafts: a quoted name, then parameters. */
function named(headers: ResponseHeaders, name: string): RegExpExecArray | undefined {
  const value = headers[name];
  if (typeof value !== "string") return undefined;
  return /^\s*"[^"]{0,64}"((?:\s*;\s*[a-z]+=[^;,]{1,32}){0,8})/u.exec(value) ?? undefined;
}

function parameter(text: string, name: string): number | undefined {
  for (const part of text.split(/[;,]/u).slice(0, 16)) {
    const [key = "", value] = part.trim().split("=", 2);
    if (key === name && /^\d{1,12}$/u.test(value ?? "")) return Number(value);
  }
  return undefined;
}

function toDelay(seconds: number | undefined, now: number): number | undefined {
  if (seconds === undefined || seconds < EPOCH) return seconds;
  return Math.max(0, Math.round(seconds - now / 1000));
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
