import { type JsonValue, parseJsonDocument } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import { HUB_SERVER } from "./credential-helper.ts";
import type { Credentials } from "./credentials.ts";
import { isHelperName } from "./helper-name.ts";

/** A file with credentials, and the form that it is in. */
export interface AuthFile {
  readonly path: string;
  /** `~/.dockercfg`: the entries stand at the top, and keys are URLs. */
  readonly legacy: boolean;
}

/** What a file says: credentials, or who keeps them. */
export type AuthFileAnswer =
  | { readonly credentials: Credentials; readonly key: string }
  /** `server` is what to ask the helper for; its answer is this file's. */
  | { readonly helper: string; readonly server: string };

/** What an auth file holds, its entries not yet looked at. */
export interface AuthFileEntries {
  /** The whole document, for who writes it again. */
  readonly document: ReadonlyMap<string, JsonValue>;
  readonly auths: ReadonlyMap<string, JsonValue>;
  readonly credHelpers: ReadonlyMap<string, JsonValue>;
  readonly credsStore: string | undefined;
}

const MAX_FILE_BYTES = 1024 * 1024;
const HUB_KEYS: ReadonlySet<string> = new Set(["docker.io", "registry-1.docker.io"]);
const HUB_KEY = "index.docker.io";

/**
 * What one file says about a repository: a helper for its host decides; else the first key that is
 * present, most specific first, even if its entry is empty; else the helper for all hosts.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_AUTH_FILE` if the file or the entry is
 *   malformed.
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-auth.json.5.md
 */
export function findInAuthFile(
  file: AuthFile,
  bytes: Uint8Array,
  host: string,
  repository: string,
): AuthFileAnswer | undefined {
  const { auths, credHelpers, credsStore } = parseAuthFile(file, bytes);
  const server = helperKeys(host).find((key) => credHelpers.has(key));
  if (server !== undefined) {
    return { helper: requireHelper(file, host, credHelpers.get(server)), server };
  }
  const key = findKey(auths, file, host, repository);
  const credentials = key === undefined ? undefined : readEntry(file, key, auths.get(key) ?? null);
  if (key !== undefined && credentials !== undefined) return { credentials, key };
  if (credsStore === undefined) return undefined;
  // Docker leaves an empty entry behind for what it has put into its store, or none at all.
  return { helper: requireHelper(file, host, credsStore), server: storeServer(host) };
}

/** The name under which Docker's store keeps a host. */
export function storeServer(host: string): string {
  return canonicalHost(host) === HUB_KEY ? HUB_SERVER : host;
}

/** The keys of `credHelpers` that mean a host. */
export function helperKeys(host: string): readonly string[] {
  return canonicalHost(host) === HUB_KEY ? [host, HUB_KEY, HUB_SERVER] : [host];
}

/** @throws {@link RegistryError} `ERR_REGISTRY_INVALID_AUTH_FILE` if the file is malformed. */
export function parseAuthFile(file: AuthFile, bytes: Uint8Array): AuthFileEntries {
  let document: JsonValue;
  try {
    document = parseJsonDocument(bytes, { maxBytes: MAX_FILE_BYTES });
  } catch (cause) {
    throw invalid(file, "it is not one valid JSON document", cause);
  }
  const top = mapOf(file, document, "it");
  if (file.legacy) {
    return { document: top, auths: top, credHelpers: new Map(), credsStore: undefined };
  }
  const credsStore = top.get("credsStore") ?? "";
  if (typeof credsStore !== "string") throw invalid(file, "credsStore is not a string");
  return {
    document: top,
    auths: mapOf(file, top.get("auths") ?? {}, "auths"),
    credHelpers: mapOf(file, top.get("credHelpers") ?? {}, "credHelpers"),
    credsStore: credsStore === "" ? undefined : credsStore,
  };
}

function findKey(
  auths: ReadonlyMap<string, JsonValue>,
  file: AuthFile,
  host: string,
  repository: string,
): string | undefined {
  if (!file.legacy) {
    const parts = repository.split("/");
    for (let length = parts.length; length >= 0; length -= 1) {
      const key = [host, ...parts.slice(0, length)].join("/");
      if (auths.has(key)) return key;
    }
  }
  return keysOfHost(auths, file, host)[0];
}

/** The keys that mean a whole host, in whatever form. */
export function keysOfHost(
  auths: ReadonlyMap<string, JsonValue>,
  file: AuthFile,
  host: string,
): readonly string[] {
  const wanted = canonicalHost(host);
  return [...auths.keys()].filter((key) => canonicalHost(hostOfKey(key, file.legacy)) === wanted);
}

function hostOfKey(key: string, legacy: boolean): string {
  const bare = key.replace(/^https?:\/\//u, "");
  return legacy || bare !== key ? bare.replace(/\/.*$/su, "") : bare;
}

/** The host by which all names of Docker Hub are one. */
export function canonicalHost(host: string): string {
  return HUB_KEYS.has(host) ? HUB_KEY : host;
}

function readEntry(file: AuthFile, key: string, value: JsonValue): Credentials | undefined {
  const where = `the entry for ${key}`;
  const entry = mapOf(file, value, where);
  const [auth, identityToken, bearerToken] = ["auth", "identitytoken", "registrytoken"].map(
    (name) => {
      const text = entry.get(name) ?? "";
      if (typeof text !== "string") throw invalid(file, `${where}: ${name} is not a string`);
      return text;
    },
  );
  const source = file.path;
  if (identityToken) return { identityToken: requireToken(file, where, identityToken), source };
  if (bearerToken) return { bearerToken: requireToken(file, where, bearerToken), source };
  if (!auth) return undefined;
  return { ...readAuth(file, where, auth), source };
}

function readAuth(
  file: AuthFile,
  where: string,
  auth: string,
): { readonly username: string; readonly password: string } {
  if (!/^[A-Za-z0-9+/]+={0,2}$/u.test(auth) || auth.replace(/=+$/u, "").length % 4 === 1) {
    throw invalid(file, `${where}: auth is not base64`);
  }
  const text = Buffer.from(auth, "base64").toString();
  const colon = text.indexOf(":");
  const username = text.slice(0, colon);
  const password = text.slice(colon + 1).replace(/\0+$/u, "");
  if (colon < 1) throw invalid(file, `${where}: auth is not user:password`);
  if (/[\u0000-\u001f\u007f]/u.test(username + password)) {
    throw invalid(file, `${where}: auth has control characters`);
  }
  return { username, password };
}

function requireToken(file: AuthFile, where: string, token: string): string {
  if (!/^[\u0021-\u007e]+$/u.test(token)) throw invalid(file, `${where}: a malformed token`);
  return token;
}

function mapOf(file: AuthFile, value: JsonValue, what: string): ReadonlyMap<string, JsonValue> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(file, `${what} is not an object`);
  }
  return new Map(Object.entries(value));
}

/** @throws {@link RegistryError} `ERR_REGISTRY_INVALID_AUTH_FILE` for what is no helper's name. */
export function requireHelper(file: AuthFile, host: string, helper: JsonValue | undefined): string {
  if (isHelperName(helper)) return helper;
  throw invalid(file, `the credential helper for ${host} has no valid name`);
}

function invalid({ path }: AuthFile, what: string, cause?: unknown): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_AUTH_FILE", `${path}: ${what}`, {
    hint: "Mend the file, log in again to have it written anew, or name another with --authfile.",
    ...(cause !== undefined && { cause }),
  });
}
