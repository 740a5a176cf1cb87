import type { Digest } from "@stowage/content";
import { registryEndpointHost, type Repository } from "@stowage/reference";

import type { AuthGate } from "./auth/auth-gate.ts";
import type { Credentials } from "./auth/credentials.ts";
import type { Secret } from "./auth/secret.ts";
import { withDiagnostics } from "./diagnostics.ts";
import { HostBudget } from "./host-budget.ts";
import { withNamespace } from "./namespace-query.ts";
import type { RateLimitPolicy } from "./rate-limit-policy.ts";
import { responseError } from "./response-error.ts";
import { SingleFlight } from "./single-flight.ts";
import type { Slots } from "./slots.ts";
import type { TlsOptions } from "./tls-options.ts";
import type { ResponseHeaders, Transport, TransportMethod, TransportRequest } from "./transport.ts";
import { Turns } from "./turns.ts";
import { withAuth } from "./transport-auth.ts";
import { withRedirect } from "./transport-redirect.ts";
import { type WarningEvent, withWarnings } from "./transport-warning.ts";
import {
  DEFAULT_ATTEMPTS,
  DEFAULT_DELAY,
  type RateLimitSpentEvent,
  type RetriesSpentEvent,
  type RetryEvent,
  withRetry,
} from "./transport-retry.ts";

/** What a {@link RegistryConnection} is made of. */
export interface RegistryConnectionOptions {
  /** By its physical name. */
  readonly repository: Repository;
  /** The path of the API. @defaultValue `/v2` */
  readonly root?: string | undefined;
  /** The registry that a mirror is asked for, as containerd tells it. @defaultValue none */
  readonly namespace?: string | undefined;
  /** Goes with each request to this very origin; names in lower case. @defaultValue none */
  readonly headers?: ReadonlyMap<string, Secret> | undefined;
  /** Milliseconds. @defaultValue the transport's */
  readonly connectTimeout?: number | undefined;
  readonly transport: Transport;
  /** The TLS settings for a host; `own` tells the registry from where it redirects to. */
  readonly tls: (host: string, own: boolean) => Promise<TlsOptions | undefined>;
  /** What to speak; `either` is TLS where there is any, else plain HTTP. */
  readonly scheme: () => Promise<"http:" | "https:" | "either">;
  readonly gate: AuthGate;
  readonly credentials: (signal: AbortSignal) => Promise<Credentials | undefined>;
  readonly files?: readonly string[] | undefined;
  readonly userAgent: string;
  readonly blobSlots: Slots;
  readonly uploadSlots: Slots;
  readonly budget: HostBudget;
  readonly attempts?: number | undefined;
  readonly retryDelay?: number | undefined;
  readonly rateLimits?: RateLimitPolicy | undefined;
  readonly onEvent?:
    | ((event: RateLimitSpentEvent | RetriesSpentEvent | RetryEvent | WarningEvent) => void)
    | undefined;
}

interface Wrapped {
  readonly origin: URL;
  readonly transport: Transport;
}

/** One repository at one registry: where it is, and the transport with all its wrappers. */
export class RegistryConnection {
  readonly repository: Repository;
  readonly blobSlots: Slots;
  readonly uploadSlots: Slots;
  readonly budget: HostBudget;
  /** For what is read, changed and written again: nothing locks a tag. */
  readonly tagTurns: Turns = new Turns();
  /** How often what failed in passing is tried. */
  readonly attempts: number;
  /** Milliseconds before the second attempt, doubled for each further one. */
  readonly retryDelay: number;
  readonly #options: RegistryConnectionOptions;
  /** As it stands in a URL, where its scheme's own port is left out. */
  readonly #host: string;
  readonly #root: string;
  readonly #opening = new SingleFlight<Wrapped>();
  #wrapped: Wrapped | undefined;
  #challenged = false;
  #greeting: ResponseHeaders | undefined;

  constructor(options: RegistryConnectionOptions) {
    this.repository = options.repository;
    this.blobSlots = options.blobSlots;
    this.uploadSlots = options.uploadSlots;
    this.budget = options.budget;
    this.attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    this.retryDelay = options.retryDelay ?? DEFAULT_DELAY;
    this.#options = options;
    this.#host = registryEndpointHost(options.repository.host);
    this.#root = options.root ?? "/v2";
  }

  /** Whether a URL is that of a blob here. */
  isBlob(url: URL, digest: Digest): boolean {
    return (
      url.host === new URL(`${url.protocol}//${this.#host}`).host &&
      url.pathname === `${this.#root}/${this.repository.path}/blobs/${digest}`
    );
  }

  /** A request below `/v2/<repository>/`. */
  async request(
    method: TransportMethod,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
  ): Promise<TransportRequest> {
    const { origin } = await this.#wrap(signal);
    return {
      method,
      url: withNamespace(
        new URL(`${this.#root}/${this.repository.path}/${path}`, origin),
        this.#options.namespace,
      ),
      headers: { "user-agent": this.#options.userAgent, ...headers },
    };
  }

  /** A GET of what is about no repository; `path` begins where `/v2/` ends. */
  async rootRequest(path: string, signal?: AbortSignal): Promise<TransportRequest> {
    const { origin } = await this.#wrap(signal);
    const url = new URL(path, new URL(`${this.#root}/`, origin));
    return { method: "GET", url, headers: { "user-agent": this.#options.userAgent } };
  }

  readonly send: Transport = async (request, options) =>
    (await this.#wrap(options.signal)).transport(request, options);

  /** What the registry says of itself in the headers of `/v2/`, to whoever it lets in or not. */
  async greeting(signal?: AbortSignal): Promise<ResponseHeaders> {
    const request = await this.rootRequest("", signal);
    // To find out whether it speaks TLS it was asked the same.
    if (this.#greeting === undefined) {
      const response = await this.send(request, { signal });
      const { status } = response;
      if (status === 429 || status >= 500) throw await responseError(request, response, { signal });
      response.cancel();
      this.#greeting = response.headers;
    }
    return this.#greeting;
  }

  /**
   * Asks the registry whether it is one and lets us in; resolves to whether it wanted to know who
   * we are.
   */
  async ping(signal?: AbortSignal): Promise<boolean> {
    const request = await this.rootRequest("", signal);
    const response = await this.send(request, { signal });
    if (response.status !== 200) throw await responseError(request, response, { signal });
    response.cancel();
    return this.#challenged;
  }

  async #wrap(signal?: AbortSignal): Promise<Wrapped> {
    return (this.#wrapped ??= await this.#opening.run((shared) => this.#open(shared), signal));
  }

  async #open(signal: AbortSignal): Promise<Wrapped> {
    const { gate, repository, credentials, files, userAgent } = this.#options;
    const { headers, onEvent, rateLimits } = this.#options;
    const { attempts, retryDelay, budget } = this;
    const secured = this.#withTls(withDiagnostics(this.#options.transport));
    const scheme = await this.#options.scheme();
    const origin = await this.#findOrigin(secured, scheme, signal);
    const retry = (next: Transport): Transport =>
      withRetry(next, { attempts, delay: retryDelay, budget, rateLimits, onEvent });
    // A token server is another host.
    const tokens = new HostBudget();
    const authorized = withAuth(secured, {
      gate,
      retry: (next) =>
        withRetry(next, { attempts, delay: retryDelay, budget: tokens, rateLimits, onEvent }),
      registry: origin,
      host: repository.host,
      repository: repository.path,
      insecure: scheme !== "https:",
      userAgent,
      credentials,
      files,
      standing: [...(headers ?? [])].map(([name, secret]) => {
        return { type: "header", name, secret, origin: origin.origin };
      }),
      onChallenge: () => {
        this.#challenged = true;
      },
    });
    // Retry is outermost: a redirect's target may be signed for minutes only, so that a further
    // attempt begins at the registry again.
    return { origin, transport: retry(withRedirect(withWarnings(authorized, onEvent))) };
  }

  /** What is about the connection, for this host and for those that it redirects to. */
  #withTls(next: Transport): Transport {
    return async (request, options) => {
      const { host: asked, protocol } = request.url;
      const own = asked === new URL(`${protocol}//${this.#host}`).host;
      const host = own ? this.repository.host : asked;
      const { connectTimeout } = this.#options;
      const tls = protocol === "http:" ? undefined : await this.#options.tls(host, own);
      const more = {
        ...(tls !== undefined && { tls }),
        ...(own && connectTimeout !== undefined && { connectTimeout }),
      };
      return next({ ...request, ...more }, options);
    };
  }

  async #findOrigin(
    transport: Transport,
    scheme: "http:" | "https:" | "either",
    signal: AbortSignal,
  ): Promise<URL> {
    if (scheme !== "either") return new URL(`${scheme}//${this.#host}`);
    const https = new URL(`https://${this.#host}`);
    const http = new URL(`http://${this.#host}`);
    try {
      await this.#probe(transport, https, signal);
      return https;
    } catch (error) {
      signal.throwIfAborted();
      try {
        await this.#probe(transport, http, signal);
        return http;
      } catch {
        signal.throwIfAborted();
        throw error;
      }
    }
  }

  async #probe(transport: Transport, origin: URL, signal: AbortSignal): Promise<void> {
    const headers = { "user-agent": this.#options.userAgent };
    const request = { method: "GET", url: new URL(`${this.#root}/`, origin), headers } as const;
    await this.budget.ready(signal);
    const response = await transport(request, { signal });
    response.cancel();
    if (response.status === 200 || response.status === 401) this.#greeting = response.headers;
  }
}
