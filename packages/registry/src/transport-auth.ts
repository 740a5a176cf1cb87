import type { AuthGate, Grant } from "./auth/auth-gate.ts";
import { type Challenge, parseChallenges } from "./auth/challenge.ts";
import {
  type Credentials,
  explainCredentials,
  sealCredentials,
  type SealedCredentials,
} from "./auth/credentials.ts";
import { parseRealm } from "./auth/realm.ts";
import { isSameResource, scopeOf } from "./auth/scope.ts";
import { fetchToken } from "./auth/token.ts";
import { responseError } from "./response-error.ts";
import { SingleFlight } from "./single-flight.ts";
import { settle } from "./transport-retry.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** What {@link withAuth} needs to know about the repository that it speaks to. */
export interface AuthOptions {
  readonly gate: AuthGate;
  /** The only origin that gets credentials, and the only one whose challenges are heard. */
  readonly registry: URL;
  /** The host by its own name (`docker.io`), for messages. */
  readonly host: string;
  /** The path of the repository. */
  readonly repository: string;
  /** Whether plain HTTP was allowed for this registry. */
  readonly insecure: boolean;
  readonly userAgent: string;
  /** Repeats what fails in passing, so that all who wait for a token wait for one. */
  readonly retry: (next: Transport) => Transport;
  readonly credentials: (signal: AbortSignal) => Promise<Credentials | undefined>;
  /** What goes with each request to the origin that it is for, whoever we are. @defaultValue none */
  readonly standing?: readonly Grant[] | undefined;
  /** Called when the registry wants to know who we are. */
  readonly onChallenge?: (() => void) | undefined;
  /** Where credentials are looked for, for messages. */
  readonly files?: readonly string[] | undefined;
}

interface Authorization {
  readonly grant: Grant;
  /** On the monotonic clock, in milliseconds; the wall clock may be set meanwhile. */
  readonly expires: number;
}

// Left of a lifetime, so that a token does not expire on its way.
const USABLE_PART = 0.9;

/**
 * Answers the challenges of one registry. A token is fetched once for all who wait for it, and
 * renewed once per request when it is refused.
 */
export function withAuth(next: Transport, options: AuthOptions): Transport {
  const session = new AuthSession(next, options);
  const { gate, standing = [] } = options;
  return async (request, { signal }) => {
    if (request.url.origin !== options.registry.origin) {
      return gate.send(next, request, [], { signal });
    }
    const scope = [
      request.scope ?? scopeOf(request.method, options.repository),
      ...(request.readsFrom ?? []).map((repository) => scopeOf("GET", repository)),
    ].join(" ");
    let authorization = await session.current(scope, signal);
    for (let renewals = 0; ;) {
      const grants = [...standing, ...(authorization === undefined ? [] : [authorization.grant])];
      const response = await gate.send(next, request, grants, { signal });
      if (response.status !== 401) return response;
      const current = await session.current(scope, signal);
      if (current !== undefined && current !== authorization) {
        response.cancel();
        authorization = current;
      } else {
        if (renewals > 0) throw await session.failure(request, response, signal);
        renewals += 1;
        authorization = await session.renew(request, response, scope, authorization, signal);
      }
    }
  };
}

class AuthSession {
  readonly #transport: Transport;
  readonly #options: AuthOptions;
  readonly #authorizations = new Map<string, Authorization>();
  readonly #flights = new Map<string, SingleFlight<Authorization>>();
  readonly #lookup = new SingleFlight<{ readonly found: SealedCredentials | undefined }>();
  #credentials: { readonly found: SealedCredentials | undefined } | undefined;
  /** Who gave the last token. */
  #tokenServer: string | undefined;

  constructor(transport: Transport, options: AuthOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  async current(
    scope: string,
    signal: AbortSignal | undefined,
  ): Promise<Authorization | undefined> {
    const known = this.#authorizations.get(scope);
    if (known !== undefined) return known.expires > performance.now() ? known : undefined;
    const credentials = await this.#findCredentials(signal);
    if (credentials?.type !== "bearer-token") return undefined;
    const { origin } = this.#options.registry;
    return this.#remember(scope, { type: "bearer", origin, secret: credentials.secret }, Infinity);
  }

  async renew(
    request: TransportRequest,
    response: TransportResponse,
    scope: string,
    refused: Authorization | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Authorization> {
    this.#options.onChallenge?.();
    const challenge = parseChallenges(response.headers["www-authenticate"]).find(isKnown);
    const credentials = await this.#findCredentials(signal);
    if (challenge === undefined || credentials?.type === "bearer-token") {
      throw await this.failure(request, response, signal);
    }
    if (challenge.scheme === "basic") {
      if (refused !== undefined || credentials?.type !== "password") {
        throw await this.failure(request, response, signal);
      }
      response.cancel();
      const { origin } = this.#options.registry;
      const { secret, username } = credentials;
      return this.#remember(scope, { type: "basic", origin, secret, username }, Infinity);
    }
    const asked = challenge.parameters.get("scope");
    const insufficient = challenge.parameters.get("error") === "insufficient_scope";
    if (insufficient && asked !== undefined && !isSameResource(asked, scope)) {
      throw await this.failure(request, response, signal, "it wants a token for something else");
    }
    response.cancel();
    let flight = this.#flights.get(scope);
    if (flight === undefined) this.#flights.set(scope, (flight = new SingleFlight()));
    return flight.run((shared) => this.#fetchToken(challenge, scope, credentials, shared), signal);
  }

  async failure(
    request: TransportRequest,
    response: TransportResponse,
    signal: AbortSignal | undefined,
    what?: string,
  ): Promise<Error> {
    const { host, files } = this.#options;
    const credentials = await this.#findCredentials(signal);
    const hint = explainCredentials(host, credentials, files, this.#tokenServer);
    return responseError(request, response, { signal, what, hint });
  }

  async #fetchToken(
    challenge: Challenge,
    scope: string,
    credentials: SealedCredentials | undefined,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const { gate, retry, registry, insecure, userAgent, host, files } = this.#options;
    const { standing: grants = [] } = this.#options;
    const realm = await parseRealm(challenge.parameters.get("realm") ?? "", { registry, insecure });
    const service = challenge.parameters.get("service");
    const { token, lifetime } = await fetchToken(
      gate,
      retry(this.#transport),
      {
        realm,
        service,
        scope,
        credentials,
        userAgent,
        namedBy: registry.hostname,
        grants,
        hint: explainCredentials(host, credentials, files),
      },
      signal,
    ).catch((error: unknown) => {
      throw typeof error === "object" && error !== null ? settle(error) : error;
    });
    const grant: Grant = { type: "bearer", origin: registry.origin, secret: token };
    this.#tokenServer = realm.host;
    return this.#remember(scope, grant, performance.now() + lifetime * USABLE_PART);
  }

  #remember(scope: string, grant: Grant, expires: number): Authorization {
    const authorization = { grant, expires };
    this.#authorizations.set(scope, authorization);
    return authorization;
  }

  async #findCredentials(signal: AbortSignal | undefined): Promise<SealedCredentials | undefined> {
    // A failure is not kept: a file that is mended must be read again.
    this.#credentials ??= await this.#lookup.run(async (shared) => {
      const credentials = await this.#options.credentials(shared);
      return { found: credentials && sealCredentials(credentials) };
    }, signal);
    return this.#credentials.found;
  }
}

function isKnown({ scheme, parameters }: Challenge): boolean {
  return scheme === "basic" || (scheme === "bearer" && parameters.has("realm"));
}
