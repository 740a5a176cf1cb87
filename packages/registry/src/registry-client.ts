import type { Digest } from "@stowage/content";
import { formatRepository, type Repository, type Tag } from "@stowage/reference";

import { AuthGate } from "./auth/auth-gate.ts";
import type { Credentials, CredentialsLookup } from "./auth/credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryConnection } from "./registry-connection.ts";
import {
  ConnectedRepository,
  type RegistryEvent,
  type RepositoryClient,
} from "./repository-client.ts";
import { Slots } from "./slots.ts";
import type { TlsOptions } from "./tls-options.ts";
import type { Transport } from "./transport.ts";
import { UndiciTransport } from "./undici-transport.ts";

/** How a {@link RegistryClient} connects. */
export interface RegistryClientOptions {
  /**
   * Who we are. Given as they are, they go to the repository's own host only, never to a mirror at
   * another; a lookup is asked for each host by its own name. None: anonymous.
   */
  readonly credentials?: Credentials | CredentialsLookup | undefined;
  /**
   * Given as they are, the client certificate goes to the repository's own host only. With
   * `verify: false`, plain HTTP is spoken where there is no TLS.
   */
  readonly tls?: TlsOptions | ((host: string) => Promise<TlsOptions | undefined>) | undefined;
  /** Speak plain HTTP and nothing else, to any host or to those it holds for. @defaultValue false */
  readonly plainHttp?: boolean | ((host: string) => boolean) | undefined;
  /** Where to look before the repository itself. @defaultValue none */
  readonly mirrors?:
    | ((repository: Repository, target: Tag | Digest) => readonly Endpoint[])
    | undefined;
  /** Sends the requests. @defaultValue an {@link UndiciTransport} that dies with the client */
  readonly transport?: Transport | undefined;
  readonly userAgent?: string | undefined;
  /** Blobs read from one host at once, and as many written. @defaultValue 6 */
  readonly maxConcurrentBlobs?: number | undefined;
  /** How often a GET is sent before its failure stands. @defaultValue 5 */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt, doubled for each further one. @defaultValue 400 */
  readonly retryDelay?: number | undefined;
  /** Milliseconds in which headers, or `stallBytes` of a body, must come. @defaultValue 60_000 */
  readonly stallTimeout?: number | undefined;
  /** @defaultValue 16_384 */
  readonly stallBytes?: number | undefined;
  /** Told of retries, resumed blobs and failed mirrors; for logs. */
  readonly onEvent?: ((event: RegistryEvent) => void) | undefined;
}

const DEFAULT_USER_AGENT = "stowage/0.1.0";
const DEFAULT_CONCURRENT_BLOBS = 6;
// Manifests, tokens and tags must get through while blobs take all the slots.
const SPARE_CONNECTIONS = 4;
// More could only be a loop or a prank.
const MAX_MIRRORS = 20;

/**
 * A client of any registries. It holds connections and tokens until it is disposed of, which ends
 * what is under way.
 */
export class RegistryClient implements AsyncDisposable {
  readonly #options: RegistryClientOptions;
  readonly #own: UndiciTransport | undefined;
  readonly #transport: Transport;
  readonly #gate = new AuthGate();
  readonly #connections = new Map<string, RegistryConnection>();
  readonly #slots = new Map<string, Slots>();
  readonly #tls = new Map<string, Promise<TlsOptions | undefined>>();

  constructor(options: RegistryClientOptions = {}) {
    const { stallTimeout, stallBytes, transport } = options;
    const blobs = options.maxConcurrentBlobs ?? DEFAULT_CONCURRENT_BLOBS;
    const connections = 2 * blobs + SPARE_CONNECTIONS;
    this.#options = options;
    this.#own =
      transport === undefined
        ? new UndiciTransport({ connections, stallTimeout, stallBytes })
        : undefined;
    this.#transport = transport ?? (this.#own as UndiciTransport).request;
  }

  /** A client of one repository. Nothing is sent until it is used. */
  repository(repository: Repository): RepositoryClient {
    const { mirrors, onEvent } = this.#options;
    return new ConnectedRepository({
      repository,
      primary: this.#connect({ repository }, repository.host),
      mirrors: (target) =>
        (mirrors?.(repository, target) ?? [])
          .slice(0, MAX_MIRRORS)
          .map((endpoint) => this.#connect(endpoint, repository.host)),
      onEvent,
    });
  }

  /** Ends what is under way, and closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
  }

  #connect({ repository, insecure = false }: Endpoint, ownHost: string): RegistryConnection {
    const { host, path } = repository;
    const own = host === ownHost;
    const key = `${formatRepository(repository)} ${insecure} ${own}`;
    let connection = this.#connections.get(key);
    if (connection === undefined) {
      const { credentials, userAgent = DEFAULT_USER_AGENT } = this.#options;
      const { attempts, retryDelay, onEvent } = this.#options;
      connection = new RegistryConnection({
        repository,
        transport: this.#transport,
        tls: (target, atRegistry) => this.#tlsFor(target, own && atRegistry, insecure),
        scheme: this.#schemeOf(host, insecure),
        gate: this.#gate,
        credentials: async () => {
          if (typeof credentials === "function") return credentials(host, path);
          return own ? credentials : undefined;
        },
        files: typeof credentials === "function" ? credentials.files : undefined,
        userAgent,
        blobSlots: this.#slotsOf(`read ${host}`),
        // Of its own: a copy within one host holds one of each.
        uploadSlots: this.#slotsOf(`write ${host}`),
        attempts,
        retryDelay,
        onEvent,
      });
      this.#connections.set(key, connection);
    }
    return connection;
  }

  #schemeOf(host: string, insecure: boolean): () => Promise<"http:" | "https:" | "either"> {
    const { plainHttp = false } = this.#options;
    return async () => {
      if (typeof plainHttp === "function" ? plainHttp(host) : plainHttp) return "http:";
      const tls = await this.#tlsFor(host, true, insecure);
      return tls?.verify === false ? "either" : "https:";
    };
  }

  #tlsFor(host: string, own: boolean, insecure: boolean): Promise<TlsOptions | undefined> {
    const key = `${host} ${own} ${insecure}`;
    let found = this.#tls.get(key);
    if (found === undefined) {
      found = this.#findTls(host, own, insecure);
      this.#tls.set(key, found);
      found.catch(() => this.#tls.delete(key));
    }
    return found;
  }

  async #findTls(host: string, own: boolean, insecure: boolean): Promise<TlsOptions | undefined> {
    const { tls } = this.#options;
    let options = typeof tls === "function" ? await tls(host) : tls;
    if (options !== undefined && typeof tls !== "function" && !own) {
      const { cert: _cert, key: _key, ...others } = options;
      options = others;
    }
    return insecure ? { ...options, verify: false } : options;
  }

  #slotsOf(key: string): Slots {
    let slots = this.#slots.get(key);
    if (slots === undefined) {
      slots = new Slots(this.#options.maxConcurrentBlobs ?? DEFAULT_CONCURRENT_BLOBS);
      this.#slots.set(key, slots);
    }
    return slots;
  }
}

/** Makes a client; dispose of it with `await using`. */
export function createRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  return new RegistryClient(options);
}
