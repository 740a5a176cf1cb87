import { type JsonValue, parseJsonDocument } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import type { Credentials } from "./credentials.ts";

/** A file with credentials, and the form that it is in. */
export interface AuthFile {
  readonly path: string;
  /** `~/.dockercfg`: the entries stand at the top, and keys are URLs. */
  readonly legacy: boolean;
}

interface Entries {
  readonly auths: ReadonlyMap<string, JsonValue>;
  readonly credHelpers: ReadonlyMap<string, JsonValue>;
  readonly credsStore: string | undefined;
}

const MAX_FILE_BYTES = 1024 * 1024;
const HELPER = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u;
const HUB_KEYS: ReadonlySet<string> = new Set(["docker.io", "registry-1.docker.io"]);
const HUB_KEY = "index.docker.io";

/**
 * What one file says about a repository; the first key that is present decides, most specific
 * first, even if its entry is empty.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_AUTH_FILE` if the file or the entry is
 *   malformed; `ERR_REGISTRY_HELPER_UNSUPPORTED` if the entry is kept by a credential helper.
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-auth.json.5.md
 */
export function findInAuthFile(
  file: AuthFile,
  bytes: Uint8Array,
  host: string,
  repository: string,
): Credentials | undefined {
  const { auths, credHelpers, credsStore } = parseAuthFile(file, bytes);
  const helper = credHelpers.get(host);
  if (helper !== undefined) throw helperError(file, host, helper);
  const key = findKey(auths, file, host, repository);
  if (key === undefined) return undefined;
  const found = readEntry(file, key, auths.get(key) ?? null);
  // Docker leaves an empty entry behind for what it has put into its store.
  if (found === undefined && credsStore !== undefined) throw helperError(file, host, credsStore);
  return found;
}

function parseAuthFile(file: AuthFile, bytes: Uint8Array): Entries {
  let document: JsonValue;
  try {
    document = parseJsonDocument(bytes, { maxBytes: MAX_FILE_BYTES });
  } catch (cause) {
    throw invalid(file, "it is not one valid JSON document", cause);
  }
  const top = mapOf(file, document, "it");
  if (file.legacy) return { auths: top, credHelpers: new Map(), credsStore: undefined };
  const credsStore = top.get("credsStore") ?? "";
  if (typeof credsStore !== "string") throw invalid(file, "credsStore is not a string");
  return {
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
  const wanted = canonicalHost(host);
  return [...auths.keys()].find((key) => canonicalHost(hostOfKey(key, file.legacy)) === wanted);
}

function hostOfKey(key: string, legacy: boolean): string {
  const bare = key.replace(/^https?:\/\//u, "");
  return legacy || bare !== key ? bare.replace(/\/.*$/su, "") : bare;
}

function canonicalHost(host: string): string {
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

function helperError(file: AuthFile, host: string, helper: JsonValue): RegistryError {
  if (typeof helper !== "string" || !HELPER.test(helper)) {
    return invalid(file, `the credential helper for ${host} has no valid name`);
  }
  return new RegistryError(
    "ERR_REGISTRY_HELPER_UNSUPPORTED",
    `${file.path}: the credentials for ${host} are kept by docker-credential-${helper}, and credential helpers cannot be used yet`,
    {
      hint: `Give them directly: echo ${host} | docker-credential-${helper} get prints them; pass USER:PASSWORD with --creds-stdin.`,
    },
  );
}

function invalid({ path }: AuthFile, what: string, cause?: unknown): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_AUTH_FILE", `${path}: ${what}`, {
    hint: "Mend the file, log in again to have it written anew, or name another with --authfile.",
    ...(cause !== undefined && { cause }),
  });
}
