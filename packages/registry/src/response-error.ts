import { escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import { readPrefix } from "./read-body.ts";
import { limitHint, type LimitTold, parseRateLimit } from "./rate-limit.ts";
import { redactUrl } from "./redact.ts";
import {
  type RegistryDiagnostic,
  RegistryError,
  type RegistryErrorCode,
} from "./registry-error.ts";
import { retryAfterOf } from "./transport-retry.ts";
import type { TransportRequest, TransportResponse } from "./transport.ts";

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_DIAGNOSTICS = 8;

/** What {@link responseError} may know beside request and answer. */
export interface ResponseErrorOptions {
  readonly signal?: AbortSignal | undefined;
  readonly hint?: string | undefined;
  /** Put in front of the registry's own words. */
  readonly what?: string | undefined;
}

/**
 * The error that an answer other than the expected ones is; reads its body, bounded. The status
 * decides alone: what the body says is only told.
 */
export async function responseError(
  request: TransportRequest,
  response: TransportResponse,
  options: ResponseErrorOptions = {},
): Promise<RegistryError> {
  const { status } = response;
  const { method } = request;
  const url = redactUrl(request.url);
  const body = await readPrefix(response, MAX_ERROR_BYTES, options.signal);
  const diagnostics = readDiagnostics(body, response.redact);
  const told = [options.what, ...diagnostics.map(describe)].filter((text) => text !== undefined);
  const message = [`${method} ${url}: HTTP ${status}`, ...told].join("; ");
  const retryAfter = retryAfterOf(response);
  const rateLimit = parseRateLimit(response.headers, Date.now());
  const hint = options.hint ?? hintOf(status, request, body, { rateLimit, retryAfter });
  return new RegistryError(codeOf(status), message, {
    status,
    method,
    url,
    diagnostics,
    retryAfter,
    rateLimit,
    hint,
  });
}

function codeOf(status: number): RegistryErrorCode {
  if (status === 401) return "ERR_REGISTRY_AUTH_FAILED";
  if (status === 403) return "ERR_REGISTRY_DENIED";
  if (status === 404) return "ERR_REGISTRY_NOT_FOUND";
  if (status === 405 || status === 501) return "ERR_REGISTRY_UNSUPPORTED";
  if (status === 429) return "ERR_REGISTRY_RATE_LIMITED";
  if (status === 408 || status === 425 || (status >= 500 && status <= 599)) {
    return "ERR_REGISTRY_UNAVAILABLE";
  }
  return "ERR_REGISTRY_PROTOCOL";
}

function hintOf(
  status: number,
  request: TransportRequest,
  body: Uint8Array,
  limit: LimitTold,
): string | undefined {
  if (status === 403) {
    return "The registry knows who you are and says no: ask its owner for the right to pull, or log in as someone who has it (--creds-stdin or --authfile).";
  }
  if (status === 405 || status === 501) {
    return "The registry does not do this, or has it switched off; ask its owner.";
  }
  if (status === 404) return "Check the spelling of repository, tag and digest.";
  if (status === 429) {
    return limitHint(limit);
  }
  const speaksTls = Buffer.from(body).includes("HTTP request to an HTTPS server");
  return status === 400 && speaksTls && request.url.protocol === "http:"
    ? "The server speaks TLS on this port: do not ask for plain HTTP."
    : undefined;
}

function readDiagnostics(
  body: Uint8Array,
  redact: (text: string) => string = (text) => text,
): RegistryDiagnostic[] {
  let document: JsonValue;
  try {
    document = parseJsonDocument(body, { maxBytes: MAX_ERROR_BYTES });
  } catch {
    return [];
  }
  const errors = fieldOf(document, "errors");
  if (!Array.isArray(errors)) return [];
  return (errors as readonly JsonValue[]).slice(0, MAX_DIAGNOSTICS).flatMap((entry) => {
    const code = fieldOf(entry, "code");
    if (typeof code !== "string") return [];
    const message = fieldOf(entry, "message");
    const clean = (text: string): string => escapeText(redact(text));
    return typeof message === "string"
      ? [{ code: clean(code), message: clean(message) }]
      : [{ code: clean(code) }];
  });
}

function fieldOf(value: JsonValue, name: string): JsonValue | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: JsonValue })[name]
    : undefined;
}

function describe({ code, message }: RegistryDiagnostic): string {
  return message === undefined || message === "" ? code : `${code} (${message})`;
}
