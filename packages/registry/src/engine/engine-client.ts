/**
 * What copies need of a Docker Engine: images out, images in.
 *
 * @see https://docs.docker.com/reference/api/engine/version/v1.41/
 * @module
 */
import { Readable } from "node:stream";

import {
  type ByteSource,
  type Digest,
  isDigest,
  type JsonValue,
  parseJsonDocument,
} from "@stowage/content";
import { buildConnector, Client, type Dispatcher } from "undici";

import { ChunkQueue } from "../chunk-queue.ts";
import { connectorOf, connectWith } from "../connector.ts";
import { RegistryError } from "../registry-error.ts";
import { guardStalls, type StallLimits } from "../stall-guard.ts";
import { secureContextOf } from "../tls-options.ts";
import type { TransportOptions } from "../transport.ts";
import { type EngineAddress, findEngine } from "./engine-address.ts";
import {
  answerFailure,
  areMessages,
  engineFailure,
  exchangeFailure,
  failureIn,
  MAX_WORDS_BYTES,
  wordsOf,
} from "./engine-failure.ts";

/** How a Docker Engine is reached and how long it is waited for. */
export interface EngineOptions {
  /** Its address, as `DOCKER_HOST` has it. @defaultValue what the environment says */
  readonly host?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Milliseconds until it begins to answer; it may pack a whole image by then. @defaultValue 600_000 */
  readonly answerTimeout?: number | undefined;
  /** Milliseconds without a byte taken or given. @defaultValue 60_000 */
  readonly stallTimeout?: number | undefined;
}

/** A Docker Engine, or what speaks its language. */
export interface EngineClient extends AsyncDisposable {
  /** As people write its address. */
  readonly shown: string;
  /** The archive of one image, as it comes: nothing of it is known to be right. */
  saveImage(name: string, options?: TransportOptions): ByteSource;
  /** Takes in the images of an archive of `size` bytes. */
  loadImages(open: () => ByteSource, size: number, options?: TransportOptions): Promise<void>;
  /** The ID of an image, by its name. */
  findImage(name: string, options?: TransportOptions): Promise<Digest>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 600_000;
const STALL_TIMEOUT_MS = 60_000;
const PING_TIMEOUT_MS = 60_000;
const READ_AHEAD_BYTES = 256 * 1024;
// What an archive comes as; podman says octet.
const ARCHIVE_TYPE = /^application\/(?:x-tar|(?:octet|octet-stream))(?:;|$)/u;

/**
 * Speaks to the engine that the environment, or `host`, names. Nothing is asked of it yet.
 *
 * @throws {@link RegistryError} as {@link findEngine} does. What the calls throw:
 *   `ERR_REGISTRY_UNAVAILABLE` where no daemon listens, `ERR_REGISTRY_DENIED` where it does not
 *   listen to us, `ERR_REGISTRY_NOT_FOUND`, `ERR_REGISTRY_DAEMON_FAILED` for what it says went
 *   wrong, `ERR_REGISTRY_STALLED`, `ERR_REGISTRY_TLS`, and `ERR_REGISTRY_PROTOCOL` for answers that
 *   are no engine's.
 */
export async function createEngineClient(options: EngineOptions = {}): Promise<EngineClient> {
  const { host, env = process.env } = options;
  return new HttpEngineClient(await findEngine(host, env), options);
}

interface EngineRequest extends TransportOptions {
  readonly method: "GET" | "POST";
  /** Below the version. */
  readonly path: string;
  /** What is done, for messages. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
}

type Answer = Dispatcher.ResponseData;

class HttpEngineClient implements EngineClient {
  readonly #address: EngineAddress;
  readonly #client: Client;
  readonly #answerTimeout: number;
  readonly #stall: StallLimits;
  #base: string | undefined;

  constructor(address: EngineAddress, options: EngineOptions) {
    const { answerTimeout = ANSWER_TIMEOUT_MS, stallTimeout = STALL_TIMEOUT_MS } = options;
    this.#address = address;
    this.#answerTimeout = answerTimeout;
    this.#stall = { stallTimeout, minRate: 0, minRateWindow: Number.MAX_SAFE_INTEGER };
    const { url, socketPath, tls } = address;
    const connector = buildConnector({
      timeout: CONNECT_TIMEOUT_MS,
      allowH2: false,
      ...(socketPath !== undefined && { socketPath }),
      ...(tls !== undefined && { secureContext: secureContextOf(tls), rejectUnauthorized: true }),
    });
    this.#client = new Client(url.origin, {
      allowH2: false,
      pipelining: 1,
      connect: connectorOf((wanted) => connectWith(connector, wanted)),
    });
  }

  get shown(): string {
    return this.#address.shown;
  }

  async *saveImage(name: string, { signal }: TransportOptions = {}): ByteSource {
    const what = `image ${name}`;
    const path = `/images/${pathOf(name)}/get`;
    const answer = await this.#ask({ method: "GET", path, what, signal });
    const type = String(answer.headers["content-type"] ?? "application/x-tar");
    if (!ARCHIVE_TYPE.test(type)) {
      const words = wordsOf(await this.#readWords(answer, what, signal));
      throw this.#notAnEngine(`${what}: an answer that is no archive: ${words}`);
    }
    yield* this.#read(answer, what, signal);
  }

  async loadImages(
    open: () => ByteSource,
    size: number,
    { signal }: TransportOptions = {},
  ): Promise<void> {
    const what = "loading the image";
    const upload = new AbortController();
    const body = watched(open(), this.#stall.stallTimeout, () =>
      upload.abort(this.#stalled(what, `it took no byte in ${this.#stall.stallTimeout} ms`)),
    );
    const answer = await this.#ask({
      method: "POST",
      path: "/images/load?quiet=1",
      what,
      headers: { "content-type": "application/x-tar", "content-length": `${size}` },
      body: Readable.from(body, { objectMode: true, highWaterMark: 1 }),
      signal: AbortSignal.any([upload.signal, ...(signal === undefined ? [] : [signal])]),
    });
    const messages = await this.#readWords(answer, what, signal);
    const failure = failureIn(messages);
    if (failure !== undefined) throw engineFailure(failure, this.#address, what);
    if (!areMessages(messages)) throw this.#notAnEngine(`${what}: ${wordsOf(messages)}`);
  }

  async findImage(name: string, { signal }: TransportOptions = {}): Promise<Digest> {
    const what = `image ${name}`;
    const path = `/images/${pathOf(name)}/json`;
    const answer = await this.#ask({ method: "GET", path, what, signal });
    const words = await this.#readWords(answer, what, signal);
    const id = idIn(words);
    if (id === undefined) throw this.#notAnEngine(`${what}: an answer without an ID`);
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy();
  }

  /** @returns an answer of 200. */
  async #ask(request: EngineRequest): Promise<Answer> {
    const base = (this.#base ??= await this.#ping(request));
    const answer = await this.#send({ ...request, path: `${base}${request.path}` });
    if (answer.statusCode === 200) return answer;
    const { what, signal } = request;
    const words = wordsOf(await this.#readWords(answer, what, signal));
    throw answerFailure(answer.statusCode, words, this.#address, what);
  }

  /** Sees that it is an engine, and which version of its language it speaks. */
  async #ping({ signal }: TransportOptions): Promise<string> {
    const what = "asking whether it is one";
    const request = { method: "GET", path: "/_ping", what, signal } as const;
    const answer = await this.#send(request, Math.min(PING_TIMEOUT_MS, this.#answerTimeout));
    const version = String(answer.headers["api-version"] ?? "");
    const words = wordsOf(await this.#readWords(answer, what, signal));
    if (answer.statusCode !== 200)
      throw answerFailure(answer.statusCode, words, this.#address, what);
    if (/^\d{1,3}\.\d{1,3}$/u.test(version)) return `/v${version}`;
    throw this.#notAnEngine("an answer that is no Docker daemon's");
  }

  async #send(
    { method, path, what, headers = {}, body, signal }: EngineRequest,
    headersTimeout = this.#answerTimeout,
  ): Promise<Answer> {
    signal?.throwIfAborted();
    try {
      const answer = await this.#client.request({
        method,
        path,
        headers: { accept: "*/*", "accept-encoding": "identity", ...headers },
        headersTimeout,
        // The reading below keeps the time itself, since a slow reader is no stall.
        bodyTimeout: 0,
        ...(body !== undefined && { body }),
        ...(signal !== undefined && { signal }),
      });
      // Someone must listen, or giving a body up would end the process.
      answer.body.on("error", () => {});
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      throw exchangeFailure(error, this.#address, what);
    }
  }

  async *#read({ body }: Answer, what: string, signal: AbortSignal | undefined): ByteSource {
    try {
      yield* guardStalls(new ChunkQueue(body, READ_AHEAD_BYTES), this.#stall, (problem) => {
        body.destroy(this.#stalled(what, problem));
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw exchangeFailure(error, this.#address, what);
    } finally {
      body.destroy();
    }
  }

  async #readWords(
    answer: Answer,
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.#read(answer, what, signal)) {
      length += chunk.byteLength;
      if (length > MAX_WORDS_BYTES) {
        const message = `${this.shown}: ${what}: an answer of more than ${MAX_WORDS_BYTES} bytes`;
        throw new RegistryError("ERR_REGISTRY_TOO_LARGE", message);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  #stalled(what: string, problem: string): RegistryError {
    return new RegistryError("ERR_REGISTRY_STALLED", `${this.shown}: ${what}: ${problem}`);
  }

  #notAnEngine(problem: string): RegistryError {
    return new RegistryError("ERR_REGISTRY_PROTOCOL", `${this.shown}: ${problem}`, {
      hint: "See that DOCKER_HOST is the address of a Docker daemon.",
    });
  }
}

/** Names of images stand in paths as they are, but for what would end the path. */
function pathOf(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}

function idIn(words: Uint8Array): Digest | undefined {
  let document: JsonValue;
  try {
    document = parseJsonDocument(words, { maxBytes: MAX_WORDS_BYTES });
  } catch {
    return undefined;
  }
  if (typeof document !== "object" || document === null || Array.isArray(document))
    return undefined;
  const id = (document as Readonly<Record<string, JsonValue>>)["Id"];
  return typeof id === "string" && isDigest(id) ? id : undefined;
}

/** Passes chunks on, and calls `onStall` when nobody has taken the latest for so long. */
async function* watched(source: ByteSource, timeout: number, onStall: () => void): ByteSource {
  for await (const chunk of source) {
    const timer = setTimeout(onStall, timeout);
    try {
      yield chunk;
    } finally {
      clearTimeout(timer);
    }
  }
}
