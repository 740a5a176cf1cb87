import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { type ContentStore, hasErrorCode } from "@stowage/content";

import { deleteBlob, getBlob } from "./blobs.ts";
import { type Exchange, sendJson } from "./exchange.ts";
import { deleteManifest, getManifest, putManifest } from "./manifests.ts";
import { ProtocolError } from "./protocol-error.ts";
import { listReferrers } from "./referrers.ts";
import { RegistryServerError } from "./registry-server-error.ts";
import { createMemoryTagStore, type TagStore } from "./tag-store.ts";
import { listTags } from "./tags.ts";
import { createUploads, type Uploads } from "./upload-store.ts";
import { cancelUpload, continueUpload, finishUpload, getUpload, startUpload } from "./uploads.ts";

/** What a server serves, and to whom. */
export interface RegistryServerOptions {
  /** Where the bytes are. It stays the caller's. */
  readonly content: ContentStore;
  /** @defaultValue one in memory, which begins empty */
  readonly tags?: TagStore | undefined;
  /** Whether every request that would change something is refused. @defaultValue true */
  readonly readOnly?: boolean | undefined;
  /** Whom to let in. Everybody who can reach it, unless told. */
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
}

/** Where a server listens. */
export interface ListenOptions {
  /** @defaultValue "127.0.0.1" */
  readonly host?: string | undefined;
  /** @defaultValue 0, any that is free */
  readonly port?: number | undefined;
}

/** A registry. Disposing of it ends every connection. */
export interface RegistryServer extends AsyncDisposable {
  /** @throws {@link RegistryServerError} `ERR_SERVER_ADDRESS_IN_USE`, `ERR_SERVER_LISTEN_FAILED`. */
  listen(
    options?: ListenOptions,
  ): Promise<{ readonly url: string; readonly host: string; readonly port: number }>;
}

/**
 * Serves content by the distribution API.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
export function createRegistryServer(options: RegistryServerOptions): RegistryServer {
  const uploads = createUploads();
  const tags = options.tags ?? createMemoryTagStore();
  const server = createServer((request, response) => {
    void answer(request, response, { ...options, tags, uploads });
  });
  return {
    listen: (where = {}) => listen(server, where),
    async [Symbol.asyncDispose]() {
      const closed = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined;
      server.closeAllConnections();
      await closed;
      await uploads[Symbol.asyncDispose]();
    },
  };
}

type Served = RegistryServerOptions & { readonly tags: TagStore; readonly uploads: Uploads };
type Handler = (exchange: Exchange) => Promise<void>;

const NAME = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*";
const ROUTE = new RegExp(`^/v2/(${NAME})/(manifests|blobs/uploads|blobs|tags|referrers)/([^/]*)$`);

const HANDLERS: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  manifests: { GET: getManifest, HEAD: getManifest, PUT: putManifest, DELETE: deleteManifest },
  blobs: { GET: getBlob, HEAD: getBlob, DELETE: deleteBlob },
  "blobs/uploads": {
    POST: startUpload,
    PATCH: continueUpload,
    PUT: finishUpload,
    GET: getUpload,
    DELETE: cancelUpload,
  },
  tags: { GET: listTags },
  referrers: { GET: listReferrers },
};

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  served: Served,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort(new Error("the client has gone away")));
  try {
    const url = new URL(request.url ?? "/", "http://registry.invalid");
    authorize(request, served.auth);
    response.setHeader("docker-distribution-api-version", "registry/2.0");
    if (url.pathname === "/v2/" || url.pathname === "/v2") {
      sendJson({ request, response }, 200, {});
      return;
    }
    const [, repository, noun, target] = ROUTE.exec(decodePath(url.pathname)) ?? [];
    if (
      repository === undefined ||
      noun === undefined ||
      target === undefined ||
      repository.length > 255
    ) {
      throw new ProtocolError(404, "NAME_INVALID", "no such path");
    }
    const method = request.method ?? "GET";
    const handler = HANDLERS[noun]?.[method];
    const isReading = method === "GET" || method === "HEAD";
    if (handler === undefined || (served.readOnly !== false && !isReading)) {
      throw new ProtocolError(405, "UNSUPPORTED", "this registry does not do that");
    }
    const { content, tags, uploads } = served;
    await handler({
      request,
      response,
      url,
      repository,
      target,
      content,
      tags,
      uploads,
      signal: gone.signal,
    });
  } catch (error) {
    refuse(request, response, error);
  }
}

function authorize(request: IncomingMessage, auth: RegistryServerOptions["auth"]): void {
  if (auth === undefined) return;
  const expected = `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString("base64")}`;
  if (timingSafeEqual(sha256(request.headers.authorization ?? ""), sha256(expected))) return;
  throw new ProtocolError(401, "UNAUTHORIZED", "authentication required", {
    "www-authenticate": 'Basic realm="stowage", charset="UTF-8"',
  });
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ProtocolError(400, "NAME_INVALID", "malformed path");
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const known = error instanceof ProtocolError ? error : undefined;
  // What was sent and is not read would be taken for the next request.
  const headers = { ...known?.headers, ...(request.complete ? {} : { connection: "close" }) };
  const told = {
    code: known?.spec ?? "UNSUPPORTED",
    message: known?.message ?? "the registry failed",
  };
  sendJson({ request, response }, known?.status ?? 500, { errors: [told] }, headers);
}

function listen(
  server: Server,
  { host = "127.0.0.1", port = 0 }: ListenOptions,
): Promise<{ url: string; host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const isUsed = hasErrorCode(cause, "EADDRINUSE");
      const code = isUsed ? "ERR_SERVER_ADDRESS_IN_USE" : "ERR_SERVER_LISTEN_FAILED";
      reject(new RegistryServerError(code, `${host}:${port}: ${cause.message}`, { cause }));
    });
    server.listen(port, host, () => {
      const { address, family, port: chosen } = server.address() as AddressInfo;
      const name = family === "IPv6" ? `[${address}]:${chosen}` : `${address}:${chosen}`;
      resolve({ url: `http://${name}`, host: name, port: chosen });
    });
  });
}
