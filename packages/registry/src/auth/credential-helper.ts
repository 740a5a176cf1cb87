/**
 * The protocol of `docker-credential-*`: a server on standard input, a user and a secret back.
 *
 * @see https://github.com/docker/docker-credential-helpers#development
 * @module
 */
import { type JsonValue, parseJsonDocument } from "@stowage/content";

import type { Credentials } from "./credentials.ts";
import { helperFailed, type HelperProcessOptions, runHelper } from "./helper-process.ts";

/** The server under which Docker keeps the credentials of its Hub. */
export const HUB_SERVER = "https://index.docker.io/v1/";

const SERVER = /^[a-z0-9.\-[\]:_]+$/u;
const NOT_FOUND = "credentials not found in native keychain";
// The name of a user that means: the secret is an identity token.
const TOKEN_USER = "<token>";
const CONTROL = /[\u0000-\u001f\u007f]/u;

/**
 * Asks a helper who we are to a server; `undefined` if it does not know.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_HELPER_FAILED` if it fails or answers nonsense, or if
 *   the server cannot be said in its protocol; then it is not run.
 */
export async function askHelper(
  name: string,
  server: string,
  options: HelperProcessOptions,
): Promise<Credentials | undefined> {
  const { code, stdout } = await runHelper(name, "get", requireServer(name, server), options);
  if (code !== 0) {
    if (stdout.trim() === NOT_FOUND) return undefined;
    throw helperFailed(name, `ends with ${code ?? "a signal"} when asked for ${server}`);
  }
  const answer = readAnswer(name, stdout);
  const [username, secret] = ["Username", "Secret"].map((key) => textOf(name, answer, key));
  const named = textOf(name, answer, "ServerURL");
  if (named !== undefined && bare(named) !== bare(server)) {
    throw helperFailed(name, `answers for another server when asked for ${server}`);
  }
  if (!secret) return undefined;
  const source = `docker-credential-${name}`;
  if (username === TOKEN_USER) return { identityToken: secret, source };
  if (!username) throw helperFailed(name, `has no user name for ${server}`);
  return { username, password: secret, source };
}

/** Gives a helper what it is to keep. */
export async function storeInHelper(
  name: string,
  server: string,
  credentials: { readonly username: string; readonly password: string },
  options: HelperProcessOptions,
): Promise<void> {
  const { username, password } = credentials;
  const ServerURL = requireServer(name, server).trimEnd();
  const text = JSON.stringify({ ServerURL, Username: username, Secret: password });
  const { code } = await runHelper(name, "store", text, options);
  if (code !== 0) throw helperFailed(name, `does not store credentials for ${server}`);
}

/** Has a helper forget a server; whether it knew one cannot be told by all of them. */
export async function eraseInHelper(
  name: string,
  server: string,
  options: HelperProcessOptions,
): Promise<void> {
  const { code, stdout } = await runHelper(name, "erase", requireServer(name, server), options);
  if (code !== 0 && stdout.trim() !== NOT_FOUND) {
    throw helperFailed(name, `does not erase the credentials for ${server}`);
  }
}

function requireServer(name: string, server: string): string {
  // One line is the whole protocol: another line would be another question.
  if (server === HUB_SERVER || SERVER.test(server)) return `${server}\n`;
  throw helperFailed(name, "was not asked: the name of the server has characters that it may not");
}

function readAnswer(name: string, stdout: string): Readonly<Record<string, JsonValue>> {
  let answer: JsonValue = null;
  try {
    answer = parseJsonDocument(Buffer.from(stdout), { maxBytes: 64 * 1024 });
  } catch {
    // No cause: it could quote the secret.
  }
  if (typeof answer === "object" && answer !== null && !Array.isArray(answer)) {
    return answer as Readonly<Record<string, JsonValue>>;
  }
  throw helperFailed(name, "answers something else than a JSON object");
}

function textOf(
  name: string,
  answer: Readonly<Record<string, JsonValue>>,
  key: string,
): string | undefined {
  const value = answer[key];
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string" && !CONTROL.test(value)) return value;
  throw helperFailed(name, `answers with a malformed ${key}`);
}

function bare(server: string): string {
  return server.replace(/^https?:\/\//u, "").replace(/\/.*$/su, "");
}
