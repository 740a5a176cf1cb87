import { sign } from "node:crypto";

import type { SigningKey } from "./docker-registry.ts";
import { type ScriptedServer, serve } from "./scripted-server.ts";

/** A token server that a docker-registry believes; it knows one user. */
export async function startTokenServer(key: () => SigningKey): Promise<ScriptedServer> {
  return serve((request, response) => {
    const url = new URL(request.url ?? "", "http://tokens");
    let query = url.searchParams;
    let form = "";
    request.on("data", (chunk: Buffer) => (form += chunk.toString()));
    request.on("end", () => {
      if (request.method === "POST") query = new URLSearchParams(form);
      const basic = `Basic ${Buffer.from("user:secret").toString("base64")}`;
      const allowed =
        request.headers.authorization === basic || query.get("refresh_token") === "identity-canary";
      const access = (query.get("scope") ?? "").split(" ").map((scope) => {
        const [type, name, actions = ""] = scope.split(":");
        return { type, name, actions: allowed ? actions.split(",") : [] };
      });
      const token = makeToken(key(), query.get("service") ?? "", access);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ token, expires_in: 300 }));
    });
  });
}

/** A token as the server would give one to who may do `access`. */
export function makeToken(key: SigningKey, audience: string, access: unknown): string {
  const now = Math.floor(Date.now() / 1000);
  const header = { typ: "JWT", alg: "ES256", x5c: [key.chain] };
  const claims = {
    iss: "stowage-test",
    sub: "user",
    aud: audience,
    exp: now + 300,
    nbf: now - 10,
    iat: now,
    jti: `${now}-${access === undefined}`,
    access,
  };
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = sign("sha256", Buffer.from(text), {
    key: key.privateKey,
    dsaEncoding: "ieee-p1363",
  });
  return `${text}.${signature.toString("base64url")}`;
}
