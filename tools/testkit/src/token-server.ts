import { type KeyObject, createPrivateKey, randomUUID, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { makeSelfSigned } from "./certificate.ts";
import { tempDir } from "./temp-dir.ts";

/** Whom a token server believes. */
export interface TokenServerOptions {
  /** Passwords by user; they get what they ask for. */
  readonly users?: Readonly<Record<string, string>>;
  /** Whether those who do not say who they are may pull. @defaultValue false */
  readonly anonymousPull?: boolean;
  /** How long tokens are good. @defaultValue 300 */
  readonly seconds?: number;
}

/** What was asked of a token server. */
export interface TokenRequest {
  readonly method: string;
  readonly service: string;
  readonly scopes: readonly string[];
  /** Who asked, if the password was right. */
  readonly user?: string;
}

/** A running token server; it ends with its scope. */
export interface TokenServer extends AsyncDisposable {
  /** What `startDockerRegistry` takes as its `token`. */
  readonly trust: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    /** The file of the certificate that tokens are signed with. */
    readonly certificate: string;
  };
  /** In the order of their coming. */
  readonly requests: readonly TokenRequest[];
}

interface Signer {
  readonly key: KeyObject;
  /** DER in base64, as the header of a token has it. */
  readonly chain: string;
}

const ISSUER = "stowage-test-tokens";
const SERVICE = "stowage-test-registry";

/**
 * Starts a server of Bearer tokens on the loopback, which answers `GET` with a query and `POST` with
 * a form. A wrong password is 401; a right one gets every action that is asked for.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export async function startTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const folder = await tempDir("stowage-tokens-");
  const { certificate, key } = await makeSelfSigned(folder.path, "tokens", "tokens");
  const signer: Signer = {
    key: createPrivateKey(await readFile(key)),
    chain: new X509Certificate(await readFile(certificate)).raw.toString("base64"),
  };
  const requests: TokenRequest[] = [];
  const server = createServer((request, response) => {
    // Who goes away in the middle of a question gets no answer.
    answer(request, response, { ...options, signer, requests }).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    trust: {
      realm: `http://127.0.0.1:${port}/token`,
      service: SERVICE,
      issuer: ISSUER,
      certificate,
    },
    requests,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  server: TokenServerOptions & { readonly signer: Signer; readonly requests: TokenRequest[] },
): Promise<void> {
  const { users = {}, anonymousPull = false, seconds = 300 } = server;
  const { service, scopes, name, password } = await readAsked(request);
  const isUser = name !== undefined && Object.hasOwn(users, name) && users[name] === password;
  const { method = "" } = request;
  server.requests.push({ method, service, scopes, ...(isUser && { user: name }) });
  response.setHeader("content-type", "application/json");
  if (name !== undefined && !isUser) {
    response.writeHead(401).end(JSON.stringify({ errors: [{ code: "UNAUTHORIZED" }] }));
    return;
  }
  const allowed = anonymousPull ? ["pull"] : [];
  const access = scopes.map((scope) => readScope(scope, isUser ? undefined : allowed));
  const token = formatToken(server.signer, { user: name ?? "", service, seconds, access });
  response.end(JSON.stringify({ token, access_token: token, expires_in: seconds }));
}

async function readAsked(request: IncomingMessage) {
  const chunks: Uint8Array[] = await request.toArray();
  const { searchParams } = new URL(request.url ?? "", "http://tokens.invalid");
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  const fields = request.method === "POST" ? form : searchParams;
  const [, encoded] = /^Basic +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  const [, name, password] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? "", "base64").toString()) ?? [];
  return {
    service: fields.get("service") ?? "",
    scopes: fields.getAll("scope").flatMap((scopes) => scopes.split(" ")),
    name: name ?? form.get("username") ?? undefined,
    password: password ?? form.get("password") ?? undefined,
  };
}

function readScope(scope: string, allowed: readonly string[] | undefined) {
  const [type = "", ...rest] = scope.split(":");
  const actions = (rest.pop() ?? "").split(",");
  const granted = actions.filter((action) => allowed?.includes(action) ?? true);
  return { type, name: rest.join(":"), actions: granted };
}

function formatToken(
  { key, chain }: Signer,
  claims: { user: string; service: string; seconds: number; access: unknown },
): string {
  const now = Math.floor(Date.now() / 1000);
  const parts = [
    { typ: "JWT", alg: "ES256", x5c: [chain] },
    {
      iss: ISSUER,
      sub: claims.user,
      aud: claims.service,
      exp: now + claims.seconds,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access: claims.access,
    },
  ];
  const signed = parts
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}
