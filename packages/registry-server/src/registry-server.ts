import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { type ContentStore, hasErrorCode } from "@stowage/content";

import { RegistryServerError } from "./registry-server-error.ts";
import { answerRequest } from "./routes.ts";
import { createMemoryTagStore, type TagStore } from "./tag-store.ts";
import { createUploads } from "./upload-store.ts";

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
  /** Bytes that a blob may have to be pushed. @defaultValue 17_179_869_184 (16 GiB) */
  readonly maxBlobBytes?: number | undefined;
  /** Bytes of all uploads under way; they lie in the temporary directory. @defaultValue four blobs */
  readonly maxUploadBytes?: number | undefined;
  /** Milliseconds after which an upload that was left alone is gone. @defaultValue one hour */
  readonly uploadTimeout?: number | undefined;
  /** Milliseconds within which 16 KiB of what a client sends must come. @defaultValue 60_000 */
  readonly stallTimeout?: number | undefined;
}

/** Where a server listens. */
export interface ListenOptions {
  /** @defaultValue "127.0.0.1" */
  readonly host?: string | undefined;
  /** @defaultValue 0, any that is free */
  readonly port?: number | undefined;
}

/** A registry. Disposing of it ends every connection, and waits for what it was answering. */
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
  const { content, tags = createMemoryTagStore(), readOnly = true, auth } = options;
  const { maxBlobBytes = MAX_BLOB_BYTES, uploadTimeout = UPLOAD_TIMEOUT_MS } = options;
  const { maxUploadBytes = 4 * maxBlobBytes, stallTimeout = STALL_TIMEOUT_MS } = options;
  const uploads = createUploads({ maxBlobBytes, maxUploadBytes, uploadTimeout });
  const served = { content, tags, uploads, referrers: new Map(), stallTimeout, readOnly, auth };
  const answers = new Set<Promise<void>>();
  const server = createServer(LIMITS, (request, response) => {
    const answer = answerRequest(request, response, served).finally(() => answers.delete(answer));
    answers.add(answer);
  });
  server.setTimeout(IDLE_MS);
  return {
    listen: (where = {}) => listen(server, where),
    async [Symbol.asyncDispose]() {
      const closed = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined;
      server.closeAllConnections();
      await closed;
      // The content is the caller's, who may close it next.
      await Promise.allSettled(answers);
      await uploads[Symbol.asyncDispose]();
    },
  };
}

// A large blob takes its time to come, so that only silence ends a request, not its length.
const LIMITS = { requestTimeout: 0, headersTimeout: 60_000 };
const IDLE_MS = 300_000;
const MAX_BLOB_BYTES = 16 * 1024 ** 3;
const UPLOAD_TIMEOUT_MS = 3_600_000;
const STALL_TIMEOUT_MS = 60_000;

function listen(
  server: Server,
  { host = "127.0.0.1", port = 0 }: ListenOptions,
): Promise<{ url: string; host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(listenFailure(`${host}:${port}`, cause)));
    server.listen(port, host, () => {
      const { address, family, port: chosen } = server.address() as AddressInfo;
      const name = family === "IPv6" ? `[${address}]:${chosen}` : `${address}:${chosen}`;
      resolve({ url: `http://${name}`, host: name, port: chosen });
    });
  });
}

function listenFailure(where: string, cause: Error): RegistryServerError {
  if (hasErrorCode(cause, "EADDRINUSE")) {
    const what = `${where}: another process listens there`;
    const hint = "End it, or choose another port; 0 is any that is free.";
    return new RegistryServerError("ERR_SERVER_ADDRESS_IN_USE", what, { cause, hint });
  }
  const hint = hasErrorCode(cause, "EACCES")
    ? "Choose a port from 1024 on; those below take root."
    : "Choose an address that this machine has.";
  const what = `${where}: ${cause.message}`;
  return new RegistryServerError("ERR_SERVER_LISTEN_FAILED", what, { cause, hint });
}
