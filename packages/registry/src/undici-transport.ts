import { Readable } from "node:stream";

import { type ByteSource, hasErrorCode } from "@stowage/content";
import { buildConnector, type Dispatcher, Pool } from "undici";

import { proxyHeaders } from "./auth/auth-gate.ts";
import type { BandwidthLimit } from "./bandwidth-limit.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { connectorOf, connectWith } from "./connector.ts";
import { guardedLookup, requirePublicLiteral } from "./guarded-lookup.ts";
import { addressFor, checkResolution, lookupOf, type NameResolution } from "./name-resolution.ts";
import { networkError } from "./network-failure.ts";
import type { Proxy, ProxyLookup } from "./proxy.ts";
import { proxyRefused } from "./proxy-failure.ts";
import { forwardConnector, tunnelConnector } from "./proxy-tunnel.ts";
import { RegistryError } from "./registry-error.ts";
import { redactUrl } from "./redact.ts";
import { SocketLimit } from "./socket-limit.ts";
import { DEFAULT_STALL_LIMITS, guardStalls, type StallLimits } from "./stall-guard.ts";
import { secureContextOf, type TlsOptions } from "./tls-options.ts";
import {
  protocolError,
  type RequestBody,
  type Transport,
  type TransportOptions,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** How an {@link UndiciTransport} connects and how long it waits. */
export interface UndiciTransportOptions {
  /** Connections to one host. @defaultValue 10 */
  readonly connections?: number | undefined;
  /** Milliseconds. @defaultValue 10_000 */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds to the headers, and then without a byte. @defaultValue 60_000 */
  readonly stallTimeout?: number | undefined;
  /** Bytes a second that must come on average over `minRateWindow`. @defaultValue 1024 */
  readonly minRate?: number | undefined;
  /** Milliseconds. @defaultValue 300_000 */
  readonly minRateWindow?: number | undefined;
  /** The proxy for a URL, as `loadProxies` finds it. @defaultValue none */
  readonly proxy?: ProxyLookup | undefined;
  /** Connections to all hosts together. @defaultValue 64 */
  readonly maxSockets?: number | undefined;
  /** Addresses of names by `host:port`, instead of those that are looked up. @defaultValue none */
  readonly resolve?: NameResolution | undefined;
  /** What the bodies of all requests and answers are held to. @defaultValue none */
  readonly bandwidth?: BandwidthLimit | undefined;
  /** Whether HTTP/2 is offered over TLS, for the server to choose. @defaultValue false */
  readonly http2?: boolean | undefined;
}

const MAX_HINTS = 32;
const MAX_SOCKETS = 64;

// What a server may send ahead of the reader, in bytes: of one answer, and of all over a connection.
// With less, a far host would wait for us; the reader that stops holds no more than this.
const HTTP2_OPTIONS = {
  initialWindowSize: 4 * 1024 * 1024,
  connectionWindowSize: 32 * 1024 * 1024,
  maxConcurrentStreams: 32,
};

type Body = Dispatcher.ResponseData["body"];

// Enough that the network goes on while a chunk is hashed and written.
const READ_AHEAD_BYTES = 256 * 1024;

/** The default transport: a pool of connections per host and TLS settings. */
export class UndiciTransport implements AsyncDisposable {
  readonly #connections: number;
  readonly #connectTimeout: number;
  readonly #stall: StallLimits;
  readonly #proxy: ProxyLookup;
  readonly #bandwidth: BandwidthLimit | undefined;
  readonly #http2: boolean;
  readonly #resolution: ReadonlyMap<string, string>;
  readonly #sockets: SocketLimit;
  readonly #closing = new AbortController();
  readonly #pools = new Map<string, Pool>();
  readonly #tlsKeys = new WeakMap<TlsOptions, number>();
  #nextTlsKey = 1;
  #closed = false;

  constructor(options: UndiciTransportOptions = {}) {
    this.#connections = options.connections ?? 10;
    this.#connectTimeout = options.connectTimeout ?? 10_000;
    this.#stall = {
      stallTimeout: options.stallTimeout ?? DEFAULT_STALL_LIMITS.stallTimeout,
      minRate: options.minRate ?? DEFAULT_STALL_LIMITS.minRate,
      minRateWindow: options.minRateWindow ?? DEFAULT_STALL_LIMITS.minRateWindow,
    };
    this.#proxy = options.proxy ?? (() => undefined);
    this.#bandwidth = options.bandwidth;
    this.#http2 = options.http2 ?? false;
    this.#resolution = checkResolution(options.resolve ?? {});
    const { signal } = this.#closing;
    this.#sockets = new SocketLimit(options.maxSockets ?? MAX_SOCKETS, signal);
  }

  readonly request: Transport = async (request, options) => {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw new RegistryError("ERR_REGISTRY_CLOSED", "the client was closed");
    const { url, namedBy } = request;
    const flood = new AbortController();
    let hints = 0;
    try {
      if (namedBy !== undefined) await requirePublicLiteral(url.hostname, namedBy);
      const proxy = this.#proxy(url);
      const forwarder = proxy !== undefined && isForwarded(request, proxy) ? proxy : undefined;
      const answer = await this.#poolOf(request, proxy).request({
        method: request.method,
        path: pathOf(request.url, forwarder),
        headers: {
          "accept-encoding": "identity",
          ...request.headers,
          ...(forwarder && { host: request.url.host, ...proxyHeaders(forwarder.login) }),
        },
        headersTimeout: this.#stall.stallTimeout,
        // Waiting on a slow reader is no stall, so the reading below keeps the time itself.
        bodyTimeout: 0,
        ...(request.body !== undefined && { body: this.#bodyOf(request.body, signal) }),
        signal: AbortSignal.any([flood.signal, ...(signal === undefined ? [] : [signal])]),
        // Each one starts the wait for the headers anew.
        onInfo: () => {
          if ((hints += 1) > MAX_HINTS) flood.abort(floodError(request));
        },
      });
      if (forwarder !== undefined && answer.statusCode === 407) {
        answer.body.on("error", () => {}).destroy();
        throw proxyRefused(forwarder, answer.statusCode);
      }
      return this.#toResponse(request, answer, options);
    } catch (error) {
      throw failureOf(error, request, options);
    }
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #poolOf(request: TransportRequest, proxy: Proxy | undefined): Pool {
    const { url, tls, namedBy, connectTimeout = this.#connectTimeout } = request;
    const origin = proxy !== undefined && isForwarded(request, proxy) ? proxy.url : url;
    const through = proxy === undefined ? "" : proxy.url.href;
    const tlsKey = tls === undefined ? 0 : this.#tlsKeyOf(tls);
    const key = `${origin.origin} ${tlsKey} ${namedBy ?? ""} ${through} ${connectTimeout}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const connect = this.#connectorOf(request, proxy);
      pool = new Pool(origin.origin, {
        connections: this.#connections,
        pipelining: 1,
        allowH2: this.#http2,
        h2Options: HTTP2_OPTIONS,
        // Also for a server that never lets a request begin.
        headersTimeout: this.#stall.stallTimeout,
        factory: (at, given) => this.#sockets.clientOf(at, given, connect),
      });
      this.#pools.set(key, pool);
    }
    return pool;
  }

  #connectorOf(request: TransportRequest, proxy: Proxy | undefined): buildConnector.connector {
    const { url, tls, namedBy, connectTimeout: timeout = this.#connectTimeout } = request;
    const allowH2 = this.#http2;
    const target = url.protocol === "https:" && {
      secureContext: secureContextOf(tls),
      rejectUnauthorized: tls?.verify !== false,
    };
    if (proxy === undefined) {
      const address = addressFor(this.#resolution, url);
      // What the user says of a name needs no guard, whoever named it.
      const guard =
        address === undefined
          ? namedBy !== undefined && { lookup: guardedLookup(namedBy) }
          : { lookup: lookupOf(address) };
      const direct = buildConnector({ timeout, allowH2, ...guard, ...target });
      return connectorOf((wanted) => connectWith(direct, wanted));
    }
    const options = { timeout, allowH2, signal: this.#closing.signal };
    return isForwarded(request, proxy)
      ? forwardConnector(proxy, options)
      : tunnelConnector(proxy, target || undefined, options);
  }

  #bodyOf(body: RequestBody | Uint8Array, signal: AbortSignal | undefined): Readable | Uint8Array {
    if (body instanceof Uint8Array) return body;
    const source = body.open();
    const bytes = this.#bandwidth?.slow(source, signal) ?? source;
    // As objects, or each chunk would be copied into strings of 16 KiB.
    return Readable.from(bytes, { objectMode: true, highWaterMark: 1 });
  }

  #tlsKeyOf(tls: TlsOptions): number {
    let key = this.#tlsKeys.get(tls);
    if (key === undefined) {
      key = this.#nextTlsKey++;
      this.#tlsKeys.set(tls, key);
    }
    return key;
  }

  #toResponse(
    request: TransportRequest,
    answer: Dispatcher.ResponseData,
    options: TransportOptions,
  ): TransportResponse {
    const { body } = answer;
    // Someone must listen, or giving a body up would end the process.
    body.on("error", () => {});
    const response: TransportResponse = {
      status: answer.statusCode,
      headers: answer.headers,
      body: this.#read(request, body, options),
      cancel: () => body.destroy(),
    };
    const encoding = answer.headers["content-encoding"];
    if (encoding === undefined || encoding === "identity") return response;
    if (response.status < 300) {
      throw protocolError(request, response, "a Content-Encoding that was not asked for");
    }
    body.destroy();
    return { ...response, body: nothing() };
  }

  async *#read(request: TransportRequest, body: Body, options: TransportOptions): ByteSource {
    const { method } = request;
    const url = redactUrl(request.url);
    const stalled = (what: string): void => {
      const message = `${method} ${url}: ${what}`;
      body.destroy(new RegistryError("ERR_REGISTRY_STALLED", message, { method, url }));
    };
    try {
      const chunks = guardStalls(new ChunkQueue(body, READ_AHEAD_BYTES), this.#stall, stalled);
      // Behind the guard: what waits here for its turn is no stall of the server's.
      yield* this.#bandwidth?.slow(chunks, options.signal) ?? chunks;
    } catch (error) {
      throw failureOf(closedEarly(error), request, options);
    } finally {
      body.destroy();
    }
  }
}

/** Whether an HTTP proxy is asked for the URL itself: without TLS there is no need for a tunnel. */
function isForwarded({ url }: TransportRequest, proxy: Proxy): boolean {
  return url.protocol === "http:" && proxy.url.protocol.startsWith("http");
}

function pathOf(url: URL, forwarder: Proxy | undefined): string {
  const path = `${url.pathname}${url.search}`;
  return forwarder === undefined ? path : `${url.origin}${path}`;
}

/**
 * What fails a body that has begun: shorter than was announced is a connection that was closed in an
 * orderly way, and before its time. A head that contradicts itself fails with the same code earlier.
 */
function closedEarly(error: unknown): unknown {
  if (!hasErrorCode(error, "UND_ERR_RES_CONTENT_LENGTH_MISMATCH")) return error;
  return Object.assign(new Error("closed early", { cause: error }), { code: "ECONNRESET" });
}

function failureOf(error: unknown, request: TransportRequest, options: TransportOptions): unknown {
  return options.signal?.aborted === true ? options.signal.reason : networkError(error, request);
}

function floodError({ method, url: whole }: TransportRequest): RegistryError {
  const url = redactUrl(whole);
  const what = `${method} ${url}: over ${MAX_HINTS} hints before an answer`;
  return new RegistryError("ERR_REGISTRY_PROTOCOL", what, { method, url });
}

async function* nothing(): ByteSource {}
