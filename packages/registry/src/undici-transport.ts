import { Readable } from "node:stream";

import { type ByteSource, hasErrorCode } from "@stowage/content";
import { buildConnector, type Dispatcher, Pool } from "undici";

import { ChunkQueue } from "./chunk-queue.ts";
import { guardedLookup, requirePublicLiteral } from "./guarded-lookup.ts";
import { networkError } from "./network-failure.ts";
import { RegistryError } from "./registry-error.ts";
import { redactUrl } from "./redact.ts";
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
  /** Milliseconds to the headers, and in which `stallBytes` must come. @defaultValue 60_000 */
  readonly stallTimeout?: number | undefined;
  /** @defaultValue 16_384 */
  readonly stallBytes?: number | undefined;
}

const MAX_HINTS = 32;

type Body = Dispatcher.ResponseData["body"];

// Enough that the network goes on while a chunk is hashed and written.
const READ_AHEAD_BYTES = 256 * 1024;

/** The default transport: a pool of connections per host and TLS settings. */
export class UndiciTransport implements AsyncDisposable {
  readonly #connections: number;
  readonly #connectTimeout: number;
  readonly #stallTimeout: number;
  readonly #stallBytes: number;
  readonly #pools = new Map<string, Pool>();
  readonly #tlsKeys = new WeakMap<TlsOptions, number>();
  #nextTlsKey = 1;
  #closed = false;

  constructor(options: UndiciTransportOptions = {}) {
    this.#connections = options.connections ?? 10;
    this.#connectTimeout = options.connectTimeout ?? 10_000;
    this.#stallTimeout = options.stallTimeout ?? 60_000;
    this.#stallBytes = options.stallBytes ?? 16_384;
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
      const answer = await this.#poolOf(request).request({
        method: request.method,
        path: `${request.url.pathname}${request.url.search}`,
        headers: { "accept-encoding": "identity", ...request.headers },
        headersTimeout: this.#stallTimeout,
        // Waiting on a slow reader is no stall, so the reading below keeps the time itself.
        bodyTimeout: 0,
        ...(request.body !== undefined && { body: bodyOf(request.body) }),
        signal: AbortSignal.any([flood.signal, ...(signal === undefined ? [] : [signal])]),
        // Each one starts the wait for the headers anew.
        onInfo: () => {
          if ((hints += 1) > MAX_HINTS) flood.abort(floodError(request));
        },
      });
      return this.#toResponse(request, answer, options);
    } catch (error) {
      throw failureOf(error, request, options);
    }
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #poolOf({ url, tls, namedBy }: TransportRequest): Pool {
    const key = `${url.origin} ${tls === undefined ? 0 : this.#tlsKeyOf(tls)} ${namedBy ?? ""}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(url.origin, {
        connections: this.#connections,
        pipelining: 1,
        allowH2: false,
        connect: withAlerts(
          buildConnector({
            timeout: this.#connectTimeout,
            allowH2: false,
            ...(namedBy !== undefined && { lookup: guardedLookup(namedBy) }),
            ...(url.protocol === "https:" && {
              secureContext: secureContextOf(tls),
              rejectUnauthorized: tls?.verify !== false,
            }),
          }),
        ),
      });
      this.#pools.set(key, pool);
    }
    return pool;
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
    const url = redactUrl(request.url);
    const chunks = new ChunkQueue(body, READ_AHEAD_BYTES);
    let waited = 0;
    let arrived = 0;
    try {
      for (;;) {
        const ready = chunks.take();
        if (ready !== undefined) {
          arrived += ready.byteLength;
          if (arrived >= this.#stallBytes) waited = arrived = 0;
          yield ready;
          continue;
        }
        const started = performance.now();
        const stall = setTimeout(
          () =>
            body.destroy(
              new RegistryError(
                "ERR_REGISTRY_STALLED",
                `${request.method} ${url}: ${arrived} bytes in ${this.#stallTimeout} ms`,
                { method: request.method, url },
              ),
            ),
          Math.max(this.#stallTimeout - waited, 0),
        );
        try {
          if (await chunks.isOver()) return;
        } finally {
          clearTimeout(stall);
        }
        waited += performance.now() - started;
      }
    } catch (error) {
      throw failureOf(closedEarly(error), request, options);
    } finally {
      body.destroy();
    }
  }
}

/** Ends a connection at its first error, or the end that follows an alert would cover it up. */
function withAlerts(connect: buildConnector.connector): buildConnector.connector {
  return (options, callback) =>
    connect(options, (...result) => {
      const [, socket] = result;
      socket?.once("error", (error) => socket.destroy(error));
      callback(...result);
    });
}

function bodyOf(body: RequestBody | Uint8Array): Readable | Uint8Array {
  if (body instanceof Uint8Array) return body;
  // As objects, or each chunk would be copied into strings of 16 KiB.
  return Readable.from(body.open(), { objectMode: true, highWaterMark: 1 });
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
