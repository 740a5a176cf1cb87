/**
 * The one door for secrets: nothing else in this package can read one, and what has one put on it
 * is never handed back. A secret is bound to the origin that it is for; whatever the registry names
 * (a redirect, a `Location`, a realm) comes here as a new request, and goes on bare.
 *
 * @module
 */
import { redactSecrets } from "../redact.ts";
import type {
  Transport,
  TransportOptions,
  TransportRequest,
  TransportResponse,
} from "../transport.ts";
import type { SealedCredentials } from "./credentials.ts";
import { revealSecret, type Secret } from "./secret.ts";

/** The right to be let in at one origin. */
export type Grant = {
  readonly origin: string;
  readonly secret: Secret;
} & (
  | { readonly type: "basic"; readonly username: string }
  | { readonly type: "bearer" }
  /** An OAuth2 refresh token, which goes into the form. */
  | { readonly type: "refresh" }
  /** A header that the user has configured; `name` in lower case. */
  | { readonly type: "header"; readonly name: string }
);

// Tokens are renewed for as long as a client lives.
const MAX_LIVE = 256;
// What is shorter is no secret, and stands in words.
const MIN_HEADER_SECRET = 6;

/** What credentials are good for at a token server; those that are tokens already, for nothing. */
export function tokenGrant(
  realm: URL,
  credentials: SealedCredentials | undefined,
): Grant | undefined {
  if (credentials === undefined || credentials.type === "bearer-token") return undefined;
  const { origin } = realm;
  const { secret } = credentials;
  return credentials.type === "password"
    ? { type: "basic", origin, secret, username: credentials.username }
    : { type: "refresh", origin, secret };
}

/** Who we are to a proxy, and to nobody else. */
export interface ProxyLogin {
  readonly username: string;
  readonly secret: Secret;
}

/** The header by which an HTTP proxy knows us; it goes on what is sent to the proxy itself. */
export function proxyHeaders(login: ProxyLogin | undefined): Readonly<Record<string, string>> {
  if (login === undefined) return {};
  const { username, secret } = login;
  return { "proxy-authorization": `Basic ${base64(`${username}:${revealSecret(secret)}`)}` };
}

/** User and password for a SOCKS proxy (RFC 1929); `undefined` if one is over 255 bytes. */
export function socksLogin({ username, secret }: ProxyLogin): Uint8Array | undefined {
  const [user, password] = [Buffer.from(username), Buffer.from(revealSecret(secret))];
  if (user.byteLength > 255 || password.byteLength > 255) return undefined;
  const lengths = [Buffer.from([1, user.byteLength]), Buffer.from([password.byteLength])] as const;
  return Buffer.concat([lengths[0], user, lengths[1], password]);
}

/** Puts secrets on requests, and takes them out of what comes back. One for a whole client. */
export class AuthGate {
  /** How each live secret may be spelled, the latest last. */
  readonly #live = new Map<Secret, readonly string[]>();

  /**
   * Sends a request with the grants for the very origin that it goes to, and no other; a later one
   * takes the place of an earlier. Of the answer, `redact` takes out every live secret, for servers
   * tell each other what they were told.
   */
  async send(
    transport: Transport,
    request: TransportRequest,
    grants: readonly Grant[],
    options: TransportOptions,
  ): Promise<TransportResponse> {
    let sent = request;
    for (const grant of grants.filter(({ origin }) => origin === request.url.origin)) {
      const text = revealSecret(grant.secret);
      this.#remember(grant, text);
      sent = granted(sent, grant, text);
    }
    const response = await transport(sent, options);
    return { ...response, redact: (said) => redactSecrets(said, [...this.#live.values()].flat()) };
  }

  #remember(grant: Grant, text: string): void {
    this.#live.delete(grant.secret);
    this.#live.set(grant.secret, formsOf(grant, text).flatMap(spellingsOf));
    const [oldest] = this.#live.keys();
    if (this.#live.size > MAX_LIVE && oldest !== undefined) this.#live.delete(oldest);
  }
}

function granted(request: TransportRequest, grant: Grant, text: string): TransportRequest {
  if (grant.type === "refresh") {
    const form = new URLSearchParams(Buffer.from(request.body as Uint8Array).toString());
    form.set("refresh_token", text);
    return { ...request, body: Buffer.from(form.toString()) };
  }
  if (grant.type === "header") {
    // What the request itself needs stays; who asks is for the user to say.
    const isTaken = grant.name in request.headers && grant.name !== "user-agent";
    if (isTaken) return request;
    return { ...request, headers: { ...request.headers, [grant.name]: text } };
  }
  const authorization =
    grant.type === "bearer" ? `Bearer ${text}` : `Basic ${base64(`${grant.username}:${text}`)}`;
  return { ...request, headers: { ...request.headers, authorization } };
}

/** What is secret about a grant. */
function formsOf(grant: Grant, text: string): readonly string[] {
  if (grant.type === "basic") return [`${grant.username}:${text}`, text];
  if (grant.type !== "header") return [text];
  // A scheme and what follows on it, or a list.
  const parts = text.split(/[\s,]+/u);
  const decoded = parts.map((part) => Buffer.from(part, "base64").toString());
  const inside = /^Basic\s/iu.test(text) ? decoded.flatMap((one) => [one, ...one.split(":")]) : [];
  return [text, ...parts, ...inside].filter(({ length }) => length >= MIN_HEADER_SECRET);
}

/** The forms in which a server may repeat a secret. */
function spellingsOf(secret: string): readonly string[] {
  return [secret, base64(secret), encodeURIComponent(secret.toWellFormed())];
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
