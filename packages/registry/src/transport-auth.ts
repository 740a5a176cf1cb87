import { type Challenge, parseChallenges } from "./auth/challenge.ts";
import { basicAuthorization, type Credentials, explainCredentials } from "./auth/credentials.ts";
import { parseRealm } from "./auth/realm.ts";
import { isSameResource, scopeOf } from "./auth/scope.ts";
import { fetchToken } from "./auth/token.ts";
import { secretsOf } from "./redact.ts";
import { responseError } from "./response-error.ts";
import { SingleFlight } from "./single-flight.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** What {@link withAuth} needs to know about the repository that it speaks to. */
export interface AuthOptions {
  /** The only origin that gets credentials, and the only one whose challenges are heard. */
  readonly registry: URL;
  /** The host by its own name (`docker.io`), for messages. */
  readonly host: string;
  /** The path of the repository. */
  readonly repository: string;
  /** Whether plain HTTP was allowed for this registry. */
  readonly insecure: boolean;
  readonly userAgent: string;
  readonly credentials: () => Promise<Credentials | undefined>;
  /** Where credentials are looked for, for messages. */
  readonly files?: readonly string[] | undefined;
}

interface Authorization {
  readonly header: string;
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
  return async (request, { signal }) => {
    if (request.url.origin !== options.registry.origin) return next(request, { signal });
    const scope = [
      scopeOf(request.method, options.repository),
      ...(request.readsFrom ?? []).map((repository) => scopeOf("GET", repository)),
    ].join(" ");
    let authorization = await session.current(scope);
    for (let renewals = 0; ;) {
      const sent = authorize(request, authorization);
      const response = withSecrets(await next(sent, { signal }), authorization);
      if (response.status !== 401) return response;
      const current = await session.current(scope);
      if (current !== undefined && current !== authorization) {
        response.cancel();
        authorization = current;
      } else {
        if (renewals > 0) throw await session.failure(sent, response, signal);
        renewals += 1;
        authorization = await session.renew(sent, response, scope, authorization, signal);
      }
    }
  };
}

class AuthSession {
  readonly #transport: Transport;
  readonly #options: AuthOptions;
  readonly #authorizations = new Map<string, Authorization>();
  readonly #flights = new Map<string, SingleFlight<Authorization>>();
  #credentials: Promise<Credentials | undefined> | undefined;

  constructor(transport: Transport, options: AuthOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  async current(scope: string): Promise<Authorization | undefined> {
    const known = this.#authorizations.get(scope);
    if (known !== undefined) return known.expires > performance.now() ? known : undefined;
    const credentials = await this.#findCredentials();
    if (credentials === undefined || !("bearerToken" in credentials)) return undefined;
    return this.#remember(scope, `Bearer ${credentials.bearerToken}`, Infinity);
  }

  async renew(
    request: TransportRequest,
    response: TransportResponse,
    scope: string,
    refused: Authorization | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Authorization> {
    const challenge = parseChallenges(response.headers["www-authenticate"]).find(isKnown);
    const credentials = await this.#findCredentials();
    if (challenge === undefined || (credentials !== undefined && "bearerToken" in credentials)) {
      throw await this.failure(request, response, signal);
    }
    if (challenge.scheme === "basic") {
      if (refused !== undefined || credentials === undefined || !("username" in credentials)) {
        throw await this.failure(request, response, signal);
      }
      response.cancel();
      const header = basicAuthorization(credentials.username, credentials.password);
      return this.#remember(scope, header, Infinity);
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
    const hint = explainCredentials(host, await this.#findCredentials(), files);
    return responseError(request, response, { signal, what, hint });
  }

  async #fetchToken(
    challenge: Challenge,
    scope: string,
    credentials: Credentials | undefined,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const { registry, insecure, userAgent, host, files } = this.#options;
    const realm = await parseRealm(challenge.parameters.get("realm") ?? "", { registry, insecure });
    const service = challenge.parameters.get("service");
    const { token, lifetime } = await fetchToken(
      this.#transport,
      {
        realm,
        service,
        scope,
        credentials,
        userAgent,
        namedBy: registry.hostname,
        hint: explainCredentials(host, credentials, files),
      },
      signal,
    );
    return this.#remember(scope, `Bearer ${token}`, performance.now() + lifetime * USABLE_PART);
  }

  #remember(scope: string, header: string, expires: number): Authorization {
    const authorization = { header, expires };
    this.#authorizations.set(scope, authorization);
    return authorization;
  }

  #findCredentials(): Promise<Credentials | undefined> {
    if (this.#credentials === undefined) {
      const found = this.#options.credentials();
      this.#credentials = found;
      // A file that is mended must be read again.
      found.catch(() => (this.#credentials = undefined));
    }
    return this.#credentials;
  }
}

function authorize(
  request: TransportRequest,
  authorization: Authorization | undefined,
): TransportRequest {
  if (authorization === undefined) return request;
  return { ...request, headers: { ...request.headers, authorization: authorization.header } };
}

function withSecrets(
  response: TransportResponse,
  authorization: Authorization | undefined,
): TransportResponse {
  if (authorization === undefined) return response;
  return { ...response, secrets: secretsOf(authorization.header) };
}

function isKnown({ scheme, parameters }: Challenge): boolean {
  return scheme === "basic" || (scheme === "bearer" && parameters.has("realm"));
}
