import { hasErrorCode, type JsonValue } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import {
  type AuthFileEntries,
  helperKeys,
  keysOfHost,
  requireHelper,
  storeServer,
} from "./auth-file.ts";
import { askHelper, eraseInHelper } from "./credential-helper.ts";
import { loadCredentials } from "./docker-config.ts";
import { editAuthFile } from "./edit-auth-file.ts";
import {
  type LoginPlaceOptions,
  type LoginTarget,
  loginPlace,
  parseLoginTarget,
} from "./login-target.ts";

/** What came of a logout. */
export interface LoggedOut {
  /** What is known no more: `host`, `host/namespace`. */
  readonly removed: readonly string[];
  /** Who still knows the registry, such as a file of Docker's that a login of ours never wrote. */
  readonly knownBy?: string;
}

interface Keeper {
  readonly helper: string;
  readonly server: string;
}

/**
 * Forgets the credentials for a registry or namespace, or all of the file that logins are written
 * to, and in the helpers that keep them.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_NOT_LOGGED_IN` if there are none for `registry`;
 *   `ERR_REGISTRY_INVALID_ARGUMENT`, `ERR_REGISTRY_INVALID_AUTH_FILE`,
 *   `ERR_REGISTRY_HELPER_FAILED`, `ERR_REGISTRY_FILE` as `logIn` does.
 */
export async function logOut(
  registry: string | { readonly all: true },
  options: LoginPlaceOptions = {},
): Promise<LoggedOut> {
  const { signal, env = process.env } = options;
  const target = typeof registry === "string" ? parseLoginTarget(registry) : undefined;
  const { file, helpers } = loginPlace(options);
  let keys: readonly string[] = [];
  let keepers: readonly Keeper[] = [];
  const look = (entries: AuthFileEntries): ReadonlyMap<string, undefined> => {
    keys = target === undefined ? [...entries.auths.keys()] : keysOf(file, entries, target);
    keepers = keepersOf(file, entries, target);
    return new Map();
  };
  await editAuthFile(file, look, signal);
  if (target !== undefined && target.path === "") {
    keepers = [...keepers, ...helpers.map((helper) => ({ helper, server: target.host }))];
  }
  const removed = new Set<string>();
  for (const { helper, server } of keepers) {
    if ((await askHelper(helper, server, { env, signal })) === undefined) continue;
    await eraseInHelper(helper, server, { env, signal });
    removed.add(server);
  }
  await editAuthFile(file, ({ auths }) => gone(keys.filter((key) => auths.has(key))), signal);
  for (const key of keys) removed.add(key);
  if (target === undefined) return { removed: [...removed] };
  const name = target.path === "" ? target.host : `${target.host}/${target.path}`;
  const knownBy = await whoKnows(target, options);
  if (removed.size === 0) throw notLoggedIn(name, file, knownBy);
  return { removed: [name], ...(knownBy !== undefined && { knownBy }) };
}

function keysOf(path: string, { auths }: AuthFileEntries, target: LoginTarget): readonly string[] {
  if (target.path === "") return keysOfHost(auths, { path, legacy: false }, target.host);
  const key = `${target.host}/${target.path}`;
  return auths.has(key) ? [key] : [];
}

/** The helpers that the file names for a host; for all hosts, those that the file itself knows. */
function keepersOf(
  path: string,
  { auths, credHelpers, credsStore }: AuthFileEntries,
  target: LoginTarget | undefined,
): readonly Keeper[] {
  const file = { path, legacy: false };
  if (target !== undefined && target.path !== "") return [];
  const named = target === undefined ? [...credHelpers.keys()] : helperKeys(target.host);
  const keepers = named
    .filter((server) => credHelpers.has(server))
    .map((server) => ({ helper: requireHelper(file, server, credHelpers.get(server)), server }));
  if (credsStore === undefined) return keepers;
  const helper = requireHelper(file, path, credsStore);
  const hosts =
    target === undefined ? [...auths].filter(isEmpty).map(([key]) => key) : [target.host];
  return [...keepers, ...hosts.map((host) => ({ helper, server: storeServer(host) }))];
}

function isEmpty([, entry]: readonly [string, JsonValue]): boolean {
  return typeof entry === "object" && entry !== null && Object.keys(entry).length === 0;
}

function gone(keys: readonly string[]): ReadonlyMap<string, undefined> {
  return new Map(keys.map((key) => [key, undefined]));
}

async function whoKnows(
  { host, path }: LoginTarget,
  options: LoginPlaceOptions,
): Promise<string | undefined> {
  try {
    const lookup = loadCredentials(options);
    return (await lookup(host, path, options))?.source;
  } catch (error) {
    // The named file may be gone, and another that is broken is not what was asked about.
    const known = ["ERR_REGISTRY_INVALID_AUTH_FILE", "ERR_REGISTRY_HELPER_FAILED"] as const;
    if (hasErrorCode(error, ...known)) return undefined;
    throw error;
  }
}

function notLoggedIn(name: string, file: string, knownBy: string | undefined): RegistryError {
  return new RegistryError("ERR_REGISTRY_NOT_LOGGED_IN", `${file}: no login to ${name}`, {
    hint:
      knownBy === undefined
        ? "There is nothing to forget; another file can be named with --authfile."
        : `It is known from ${knownBy}, which another program or person wrote; name that file with --authfile.`,
  });
}
