/**
 * What happens on the way, told on channels of `node:diagnostics_channel`, for tracing and metrics.
 * Nothing is made for a channel that nobody listens to, and no URL holds a query or a password.
 *
 * @module
 */
import { channel } from "node:diagnostics_channel";

import { hasErrorCode } from "@stowage/content";

import { parseRateLimit, type RateLimit } from "./rate-limit.ts";
import { redactUrl } from "./redact.ts";
import type { Transport, TransportMethod, TransportRequest } from "./transport.ts";
import type { RetryEvent } from "./transport-retry.ts";

/** Published on `stowage:registry:request` when an exchange has headers, or has failed. */
export interface RequestMessage {
  readonly method: TransportMethod;
  /** Without query and user information. */
  readonly url: string;
  /** The bytes that were asked for, where not all were. */
  readonly range?: string;
  /** Milliseconds until the headers of the answer, or the failure. */
  readonly duration: number;
  readonly status?: number;
  /** The code of the error, if no answer came. */
  readonly error?: string;
  readonly rateLimit?: RateLimit;
}

/** Published on `stowage:registry:blob`. */
export interface BlobMessage {
  readonly type: "done" | "failed" | "parallel" | "restart" | "resume" | "start";
  readonly digest: string;
  /** Of the whole blob, in bytes. */
  readonly size: number;
  /** Bytes that are here. */
  readonly received: number;
  /** Address and port of the registry or mirror that serves it. */
  readonly source: string;
  /** Connections from now on, of `parallel`. */
  readonly connections?: number;
  /** Code of the error, of `failed`. */
  readonly error?: string;
}

const requests = channel("stowage:registry:request");
const retries = channel("stowage:registry:retry");
const blobs = channel("stowage:registry:blob");

/** Tells of each exchange, those for tokens and behind redirects included. */
export function withDiagnostics(next: Transport): Transport {
  return async (request, options) => {
    if (!requests.hasSubscribers) return next(request, options);
    const started = performance.now();
    try {
      const response = await next(request, options);
      const rateLimit = parseRateLimit(response.headers, Date.now());
      publish(request, started, { status: response.status, ...(rateLimit && { rateLimit }) });
      return response;
    } catch (error) {
      publish(request, started, { error: codeOf(error) });
      throw error;
    }
  };
}

export function publishRetry(event: RetryEvent): void {
  if (retries.hasSubscribers) retries.publish(event);
}

export function publishBlob(message: BlobMessage): void {
  if (blobs.hasSubscribers) blobs.publish(message);
}

/** Our own code or the system's; `ABORT_ERR` and the like where a caller gave up. */
export function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "unknown";
  return typeof error.code === "string" && hasErrorCode(error, error.code) ? error.code : "unknown";
}

function publish(
  request: TransportRequest,
  started: number,
  outcome: Pick<RequestMessage, "error" | "rateLimit" | "status">,
): void {
  const range = request.headers["range"];
  requests.publish({
    method: request.method,
    url: redactUrl(request.url),
    ...(range !== undefined && { range }),
    duration: performance.now() - started,
    ...outcome,
  } satisfies RequestMessage);
}
