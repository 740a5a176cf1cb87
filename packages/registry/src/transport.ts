/**
 * One HTTP exchange as a function, so that retry, redirects and authentication are wrappers and a
 * browser or a test can bring its own.
 *
 * @module
 */
import type { ByteSource } from "@stowage/content";

import { RegistryError } from "./registry-error.ts";
import { redactUrl } from "./redact.ts";
import type { TlsOptions } from "./tls-options.ts";

/** The methods of the distribution API. */
export type TransportMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A body that is too long to be held; opened once for each time that the request is sent. */
export interface RequestBody {
  /** Bytes; goes with a `content-length` header. */
  readonly size: number;
  open(): ByteSource;
}

/** What is asked. */
export interface TransportRequest {
  readonly method: TransportMethod;
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | Uint8Array;
  /** Whether it may be sent again after a failure in passing; a GET or HEAD always may. */
  readonly repeatable?: boolean;
  /** Repositories of the same registry that it reads from, too, for the token's scope. */
  readonly readsFrom?: readonly string[];
  /** What a token for it must allow, where that is not about the repository. */
  readonly scope?: string;
  /** Whether there is another place to ask, so that a rate limit need not be waited for. */
  readonly hasAlternative?: boolean;
  /** For a connection of its own to this host; the client certificate goes to no other. */
  readonly tls?: TlsOptions;
  /** Milliseconds that a connection for it may take, where that is not what the transport says. */
  readonly connectTimeout?: number;
  /**
   * The host of the registry that named this URL. A connection to a private address is then
   * refused, unless that registry lives at one itself.
   */
  readonly namedBy?: string;
  /** What it named the URL for, for messages. @defaultValue `tokens` */
  readonly namedFor?: "content" | "tokens";
}

/** Names in lower case; an array where the server sent the header more than once. */
export type ResponseHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What is answered. Read `body` to its end, leave its loop early, or call `cancel`. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** The bytes as sent, never decompressed. To be read once. */
  readonly body: ByteSource;
  /** Gives the connection up, if the body will not be read. */
  cancel(): void;
  /** Takes out of a text what the server was told in confidence, and may repeat. */
  readonly redact?: (text: string) => string;
}

/** How a {@link Transport} is called. */
export interface TransportOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends one request and follows no redirect. Rejects with a {@link RegistryError} if no answer
 * comes, or with the signal's reason.
 */
export type Transport = (
  request: TransportRequest,
  options: TransportOptions,
) => Promise<TransportResponse>;

/**
 * The value of a header that may stand once.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_PROTOCOL` if it stands more often.
 */
export function singleHeader(
  request: TransportRequest,
  response: TransportResponse,
  name: string,
): string | undefined {
  const value = response.headers[name];
  if (value === undefined || typeof value === "string") return value;
  throw protocolError(request, response, `${value.length} ${name} headers`);
}

/** An answer that breaks the protocol; gives its connection up. */
export function protocolError(
  request: TransportRequest,
  response: TransportResponse,
  what: string,
): RegistryError {
  response.cancel();
  const url = redactUrl(request.url);
  return new RegistryError("ERR_REGISTRY_PROTOCOL", `${request.method} ${url}: ${what}`, {
    status: response.status,
    method: request.method,
    url,
  });
}
