import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
  type RepositoryClient,
} from "@stowage/registry";
import { type Certificates, makeCertificates } from "@stowage/testkit";

import { TempDir } from "./docker-registry.ts";
import {
  type Http2Request,
  type Http2Script,
  type Http2Server,
  serveHttp2,
} from "./http2-server.ts";

export interface TestBlob {
  readonly bytes: Buffer;
  readonly descriptor: Descriptor;
}

export function randomBlob(size: number): TestBlob {
  const bytes = randomBytes(size);
  return { bytes, descriptor: { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size } };
}

/** Servers that speak HTTP/2, and a client that offers it. */
export class Http2World implements AsyncDisposable {
  readonly files: Certificates;
  readonly ca: readonly string[];
  readonly events: RegistryEvent[] = [];
  readonly #folder: TempDir;
  readonly #owned: AsyncDisposable[] = [];

  constructor(folder: TempDir, files: Certificates) {
    this.#folder = folder;
    this.files = files;
    this.ca = [readFileSync(files.authority, "utf8")];
  }

  async serve(
    script: Http2Script,
    options: { readonly maxStreams?: number; readonly wantsClient?: boolean } = {},
  ): Promise<Http2Server> {
    const { maxStreams, wantsClient } = options;
    const server = await serveHttp2(script, {
      files: this.files,
      ...(maxStreams !== undefined && { settings: { maxConcurrentStreams: maxStreams } }),
      ...(wantsClient !== undefined && { wantsClient }),
    });
    this.#owned.unshift(server);
    return server;
  }

  client(options: RegistryClientOptions = {}): RegistryClient {
    const client = createRegistryClient({
      http2: true,
      tls: { ca: this.ca },
      retryDelay: 1,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#owned.unshift(client);
    return client;
  }

  repository(host: string, options: RegistryClientOptions = {}): RepositoryClient {
    return this.client(options).repository(parseRepository(`${host}/team/app`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#owned) await one[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

export async function openHttp2World(): Promise<Http2World> {
  const folder = new TempDir();
  return new Http2World(folder, await makeCertificates(folder.path));
}

/** What a good registry answers, from the byte on that is asked for. */
export function answerBlob({ stream, headers }: Http2Request, bytes: Buffer): void {
  beginBlob({ stream, headers }, bytes);
  stream.end(bytes.subarray(firstOf(headers)));
}

/** The headers of that answer. */
export function beginBlob(
  { stream, headers }: Pick<Http2Request, "headers" | "stream">,
  bytes: Buffer,
): void {
  const first = firstOf(headers);
  stream.respond({
    ":status": first === 0 ? 200 : 206,
    etag: '"one"',
    "content-length": bytes.length - first,
    ...(first > 0 && { "content-range": `bytes ${first}-${bytes.length - 1}/${bytes.length}` }),
  });
}

function firstOf({ range = "" }: Http2Request["headers"]): number {
  return Number(/^bytes=(\d+)-/u.exec(range)?.[1] ?? 0);
}
