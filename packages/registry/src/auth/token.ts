import { type JsonValue, parseJsonDocument } from "@stowage/content";

import { readBody } from "../read-body.ts";
import { redactUrl } from "../redact.ts";
import { RegistryError, type RegistryErrorOptions } from "../registry-error.ts";
import { responseError } from "../response-error.ts";
import type { Transport, TransportRequest, TransportResponse } from "../transport.ts";
import { type AuthGate, type Grant, tokenGrant } from "./auth-gate.ts";
import type { SealedCredentials } from "./credentials.ts";
import { Secret } from "./secret.ts";

/** A bearer token and how long it may be used. */
export interface Token {
  readonly token: Secret;
  /** Milliseconds. */
  readonly lifetime: number;
}

/** What {@link fetchToken} asks for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string;
  readonly credentials: SealedCredentials | undefined;
  readonly userAgent: string;
  /** The host name of the registry that named the realm. */
  readonly namedBy: string;
  /** What else is sent to the origin that it is for, should that be the realm's. */
  readonly grants: readonly Grant[];
  /** What to do when it refuses. */
  readonly hint?: string | undefined;
}

const MAX_TOKEN_BYTES = 64 * 1024;
const MIN_LIFETIME = 60_000;
const MAX_LIFETIME = 24 * 60 * 60_000;
const CLIENT_ID = "stowage";

/**
 * Asks a token server for a token: by GET, or with an identity token by an OAuth2 refresh.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_AUTH_FAILED` if it refuses or answers nonsense;
 *   `ERR_REGISTRY_REDIRECT_REFUSED` if it sends us elsewhere.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export async function fetchToken(
  gate: AuthGate,
  transport: Transport,
  wanted: TokenRequest,
  signal: AbortSignal | undefined,
): Promise<Token> {
  const grant = tokenGrant(wanted.realm, wanted.credentials);
  const request = tokenRequest(wanted, grant);
  const grants = [...wanted.grants, ...(grant === undefined ? [] : [grant])];
  const response = await gate.send(transport, request, grants, { signal });
  if (response.status !== 200) throw await refusal(request, response, wanted.hint, signal);
  let document: JsonValue;
  try {
    document = parseJsonDocument(await readBody(request, response, MAX_TOKEN_BYTES), {
      maxBytes: MAX_TOKEN_BYTES,
    });
  } catch {
    signal?.throwIfAborted();
    // No cause: it could quote the token.
    throw unusable(request, "its answer is not a JSON document of at most 64 KiB");
  }
  return readToken(request, document);
}

function tokenRequest(wanted: TokenRequest, grant: Grant | undefined): TransportRequest {
  const { realm, service, scope, userAgent, namedBy } = wanted;
  const headers = { accept: "application/json", "user-agent": userAgent };
  if (grant?.type === "refresh") {
    const form = new URLSearchParams({ grant_type: "refresh_token", client_id: CLIENT_ID });
    if (scope !== "") form.set("scope", scope);
    if (service !== undefined) form.set("service", service);
    return {
      method: "POST",
      url: realm,
      namedBy,
      headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
      body: Buffer.from(form.toString()),
    };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  for (const one of scope.split(" ")) if (one !== "") url.searchParams.append("scope", one);
  if (grant?.type === "basic") url.searchParams.set("account", grant.username);
  return { method: "GET", url, namedBy, headers };
}

async function refusal(
  request: TransportRequest,
  response: TransportResponse,
  hint: string | undefined,
  signal: AbortSignal | undefined,
): Promise<RegistryError> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    response.cancel();
    const url = redactUrl(request.url);
    return new RegistryError(
      "ERR_REGISTRY_REDIRECT_REFUSED",
      `${url}: the token server sends elsewhere`,
      { status, url, method: request.method },
    );
  }
  if (status === 429 || status === 408 || status >= 500) {
    return responseError(request, response, { signal, what: "from the token server" });
  }
  response.cancel();
  return unusable(request, `HTTP ${status}`, { status, hint });
}

function readToken(request: TransportRequest, document: JsonValue): Token {
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw unusable(request, "its answer is not an object");
  }
  const fields = document as { readonly [key: string]: JsonValue };
  const both = [fields["token"], fields["access_token"]].filter((value) => value !== undefined);
  const [token, other = token] = both;
  if (typeof token !== "string" || token !== other) {
    throw unusable(request, "its answer holds no token, or two");
  }
  // Anything but visible ASCII would end the header that it is put into.
  if (!/^[\u0021-\u007e]+$/u.test(token)) throw unusable(request, "its token is malformed");
  const seconds = fields["expires_in"];
  const asked = typeof seconds === "number" ? seconds * 1000 : MIN_LIFETIME;
  return {
    token: new Secret(token),
    lifetime: Math.min(Math.max(asked, MIN_LIFETIME), MAX_LIFETIME),
  };
}

function unusable(
  request: TransportRequest,
  why: string,
  known: RegistryErrorOptions = {},
): RegistryError {
  const url = redactUrl(request.url);
  return new RegistryError("ERR_REGISTRY_AUTH_FAILED", `no token from ${url}: ${why}`, {
    method: request.method,
    url,
    ...known,
  });
}
