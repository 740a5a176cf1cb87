import type { Digest } from "@stowage/content";
import { formatRepository, type RegistryHost, type Repository, type Tag } from "@stowage/reference";

import { AuthGate } from "./auth/auth-gate.ts";
import type { BandwidthLimit } from "./bandwidth-limit.ts";
import type { Credentials, CredentialsLookup } from "./auth/credentials.ts";
import type { ContainerdHosts } from "./config/containerd-hosts.ts";
import type { RegistriesConf } from "./config/registries-conf.ts";
import { ConnectedRepository } from "./connected-repository.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HostTlsLookup } from "./host-tls.ts";
import type { ProxyLookup } from "./proxy.ts";
import { HostBudget } from "./host-budget.ts";
import type { NameResolution } from "./name-resolution.ts";
import type { Place } from "./place.ts";
import { PlaceFinder } from "./place-finder.ts";
import type { RateLimitPolicy } from "./rate-limit-policy.ts";
import { RegistryConnection } from "./registry-connection.ts";
import type { RepositoryClient } from "./repository-client.ts";
import { walkRepositories } from "./repositories.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistryEvent } from "./registry-event.ts";
import { RequestRate } from "./request-rate.ts";
import { Slots } from "./slots.ts";
import { TlsFinder } from "./tls-finder.ts";
import type { TlsOptions } from "./tls-options.ts";
import type { Transport, TransportOptions } from "./transport.ts";
import { DEFAULT_ATTEMPTS } from "./transport-retry.ts";
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
  readonly tls?: TlsOptions | HostTlsLookup | undefined;
  /** Speak plain HTTP and nothing else, to any host or to those it holds for. @defaultValue false */
  readonly plainHttp?: boolean | ((host: string) => boolean) | undefined;
  /** Where to look before the repository itself. @defaultValue none */
  readonly mirrors?:
    | ((repository: Repository, target: Tag | Digest) => readonly Endpoint[])
    | undefined;
  /**
   * What `registries.conf` says: where repositories are read (after `mirrors`), how, and which are
   * not at all. Whatever is written goes to its own name. @defaultValue none
   */
  readonly registries?: RegistriesConf | undefined;
  /**
   * What containerd's `hosts.toml` files say, as `loadContainerdHosts` finds them: of repositories
   * that no table of `registries` is for. @defaultValue none
   */
  readonly hosts?: ContainerdHosts | undefined;
  /** The proxy for a URL, as `loadProxies` finds it; of the default transport. @defaultValue none */
  readonly proxy?: ProxyLookup | undefined;
  /**
   * Addresses of names by `host:port`, instead of those that are looked up; of the default
   * transport. TLS is held to the name all the same. Behind a proxy, it looks names up.
   *
   * @defaultValue none
   */
  readonly resolve?: NameResolution | undefined;
  /** Whether HTTP/2 is offered over TLS; of the default transport. @defaultValue false */
  readonly http2?: boolean | undefined;
  /** Connections to all hosts together; of the default transport. @defaultValue 64 */
  readonly maxSockets?: number | undefined;
  /**
   * What the bodies of all requests and answers are held to, and of other clients that share it; of
   * the default transport. A blob is read over one connection then. @defaultValue none
   */
  readonly bandwidth?: BandwidthLimit | undefined;
  /**
   * Requests to one registry in a second, retries included; a {@link RequestRate} counts those of
   * all clients that share it. @defaultValue as many as come
   */
  readonly requestsPerSecond?: number | RequestRate | undefined;
  /** Sends the requests. @defaultValue an {@link UndiciTransport} that dies with the client */
  readonly transport?: Transport | undefined;
  readonly userAgent?: string | undefined;
  /** Blobs read from one host at once, and as many written. @defaultValue 6 */
  readonly maxConcurrentBlobs?: number | undefined;
  /** How often a GET is sent before its failure stands. @defaultValue 5 */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt, doubled for each further one. @defaultValue 400 */
  readonly retryDelay?: number | undefined;
  /** What is done where a registry was asked enough. @defaultValue as a failure in passing */
  readonly rateLimits?: RateLimitPolicy | undefined;
  /** Milliseconds to the headers, and then without a byte. @defaultValue 60_000 */
  readonly stallTimeout?: number | undefined;
  /** Bytes a second that must come on average over `minRateWindow`. @defaultValue 1024 */
  readonly minRate?: number | undefined;
  /** Milliseconds. @defaultValue 300_000 */
  readonly minRateWindow?: number | undefined;
  /**
   * Connections for one large blob, where each is slow, the host has room for more, and they help;
   * they are of the `maxConcurrentBlobs`. 1: never more than one.
   *
   * @defaultValue 6
   */
  readonly maxRangesPerBlob?: number | undefined;
  /** Told of retries, resumed blobs, failed mirrors and what was configured; for logs. */
  readonly onEvent?: ((event: RegistryEvent) => void) | undefined;
}

const DEFAULT_USER_AGENT = "stowage/0.1.0";
const DEFAULT_CONCURRENT_BLOBS = 6;
// Manifests, tokens and tags must get through while blobs take all the slots.
const SPARE_CONNECTIONS = 4;
// Once more for a connection that had been closed meanwhile; then the next place is asked.
const MIRROR_ATTEMPTS = 2;

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
  readonly #budgets = new Map<string, HostBudget>();
  readonly #rate: RequestRate;
  readonly #tls: TlsFinder;
  readonly #places: PlaceFinder;

  constructor(options: RegistryClientOptions = {}) {
    const { transport, requestsPerSecond: rate = Infinity } = options;
    this.#rate = typeof rate === "number" ? new RequestRate(rate) : rate;
    const blobs = options.maxConcurrentBlobs ?? DEFAULT_CONCURRENT_BLOBS;
    const connections = 2 * blobs + SPARE_CONNECTIONS;
    this.#options = options;
    this.#tls = new TlsFinder(options.tls, options.onEvent);
    this.#places = new PlaceFinder(options);
    this.#own =
      transport === undefined ? new UndiciTransport({ ...options, connections }) : undefined;
    this.#transport = transport ?? (this.#own as UndiciTransport).request;
  }

  /** A client of one repository. Nothing is sent until it is used. */
  repository(repository: Repository): RepositoryClient {
    const { bandwidth, maxRangesPerBlob, onEvent } = this.#options;
    const { host } = repository;
    const target = (): RegistryConnection => this.#connect(this.#places.push(repository), host);
    return new ConnectedRepository({
      repository,
      get primary() {
        return target();
      },
      sources: (wanted) => {
        const { mirrors, primary } = this.#places.pull(repository, wanted);
        return {
          mirrors: mirrors.map((mirror) => this.#connect(mirror, host)),
          primary: this.#connect(primary, host),
        };
      },
      // More connections would only share what there is.
      maxRangesPerBlob: bandwidth === undefined ? maxRangesPerBlob : 1,
      onEvent,
    });
  }

  /**
   * Asks a registry whether it lets us in; resolves to whether it wanted to know who we are.
   *
   * @throws {@link RegistryError} `ERR_REGISTRY_AUTH_FAILED` if it does not, or as the README says.
   */
  async ping(host: RegistryHost, { signal }: TransportOptions = {}): Promise<boolean> {
    return this.#connectHost(host).ping(signal);
  }

  /**
   * All repositories that a registry lets us see, in its order; at most 100 000. Mirrors are not
   * asked, and many registries on the internet refuse.
   *
   * @throws {@link RegistryError} as the README says.
   */
  repositories(host: RegistryHost, { signal }: TransportOptions = {}): AsyncIterable<Repository> {
    const { onEvent } = this.#options;
    return walkRepositories(this.#connectHost(host), { signal, onEvent });
  }

  /** Ends what is under way, and closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
  }

  #connectHost(host: RegistryHost): RegistryConnection {
    return this.#connect(this.#places.host(host), host);
  }

  #connect(place: Place, ownHost: string): RegistryConnection {
    const { repository, insecure = false, blockedBy, key: serverKey, isMirror = false } = place;
    const own = repository.host === ownHost;
    const physical = formatRepository(repository);
    const key = [physical, insecure, own, blockedBy, serverKey, isMirror].join(" ");
    // A file that is mended must be read again.
    let connection = place.failure === undefined ? this.#connections.get(key) : undefined;
    if (connection === undefined) {
      connection = this.#open(place, own);
      this.#connections.set(key, connection);
    }
    return connection;
  }

  #open(place: Place, own: boolean): RegistryConnection {
    const { repository, server, namespace, isMirror = false } = place;
    const { host, path } = repository;
    const { credentials, userAgent = DEFAULT_USER_AGENT } = this.#options;
    const { attempts = DEFAULT_ATTEMPTS, retryDelay, rateLimits, onEvent } = this.#options;
    return new RegistryConnection({
      repository,
      namespace,
      root: server?.url?.root,
      headers: server?.headers,
      connectTimeout: server?.dialTimeout,
      transport: this.#transport,
      tls: (target, atRegistry) => this.#tls.find(target, place, { own, atRegistry }),
      scheme: () => this.#schemeOf(place),
      gate: this.#gate,
      credentials: async (signal) => {
        if (typeof credentials === "function") return credentials(host, path, { signal });
        return own ? credentials : undefined;
      },
      files: typeof credentials === "function" ? credentials.files : undefined,
      userAgent,
      blobSlots: this.#slotsOf(`read ${host}`),
      // Of its own: a copy within one host holds one of each.
      uploadSlots: this.#slotsOf(`write ${host}`),
      budget: this.#budgetOf(host),
      attempts: isMirror ? Math.min(attempts, MIRROR_ATTEMPTS) : attempts,
      retryDelay,
      rateLimits,
      onEvent,
    });
  }

  async #schemeOf(place: Place): Promise<"http:" | "https:" | "either"> {
    const { plainHttp = false } = this.#options;
    const { repository, server, blockedBy, failure } = place;
    const { host } = repository;
    if (failure !== undefined) throw failure;
    if (blockedBy !== undefined) throw blocked(repository, blockedBy);
    if (server?.url !== undefined) {
      if (server.url.scheme === "https:") return "https:";
      if ((await this.#tls.verify(host)) === true) return "https:";
      // The file allows both, and the better one first.
      return server.skipVerify === true && !host.endsWith(":80") ? "either" : "http:";
    }
    if (typeof plainHttp === "function" ? plainHttp(host) : plainHttp) return "http:";
    // A file that switches the check off does not allow plain HTTP with that.
    const { insecure = false } = place;
    return ((await this.#tls.verify(host)) ?? !insecure) ? "https:" : "either";
  }

  #budgetOf(host: string): HostBudget {
    let budget = this.#budgets.get(host);
    if (budget === undefined) {
      budget = new HostBudget((signal) => this.#rate.turn(host, signal));
      this.#budgets.set(host, budget);
    }
    return budget;
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

function blocked(repository: Repository, file: string): RegistryError {
  return new RegistryError(
    "ERR_REGISTRY_BLOCKED",
    `${formatRepository(repository)} is blocked by ${file}`,
    { hint: "Whoever runs this machine forbids it. Use another registry, or ask them." },
  );
}

/** Makes a client; dispose of it with `await using`. */
export function createRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  return new RegistryClient(options);
}
