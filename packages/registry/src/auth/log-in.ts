import type { JsonValue } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import { createRegistryClient, type RegistryClientOptions } from "../registry-client.ts";
import {
  type AuthFileEntries,
  helperKeys,
  keysOfHost,
  requireHelper,
  storeServer,
} from "./auth-file.ts";
import { storeInHelper } from "./credential-helper.ts";
import { type AuthEdits, editAuthFile } from "./edit-auth-file.ts";
import {
  authKey,
  invalidArgument,
  type LoginPlaceOptions,
  type LoginTarget,
  loginPlace,
  parseLoginTarget,
} from "./login-target.ts";

/** How {@link logIn} asks the registry, and where it keeps what was accepted. */
export interface LogInOptions extends LoginPlaceOptions {
  /** How the registry is reached; its credentials are those of the login. */
  readonly client?: Omit<RegistryClientOptions, "credentials"> | undefined;
}

/** What came of a login. */
export interface LoggedIn {
  /** `host` or `host/namespace`. */
  readonly registry: string;
  /** The file or the helper that keeps the credentials. */
  readonly storedIn: string;
  /** Whether the registry wanted to know them at all; where it did not, they may be wrong. */
  readonly verified: boolean;
}

/**
 * Asks a registry whether it takes these credentials, and only then keeps them: in a helper where
 * one is configured, else in the auth file, which is 0600 and replaced whole.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_AUTH_FAILED` if the registry refuses them;
 *   `ERR_REGISTRY_INVALID_ARGUMENT` for a registry, a user or a password that can be none;
 *   `ERR_REGISTRY_INVALID_AUTH_FILE`, `ERR_REGISTRY_HELPER_FAILED`, `ERR_REGISTRY_FILE` where they
 *   cannot be kept.
 */
export async function logIn(
  registry: string,
  credentials: { readonly username: string; readonly password: string },
  options: LogInOptions = {},
): Promise<LoggedIn> {
  const target = parseLoginTarget(registry);
  requireSpeakable(credentials);
  const { signal } = options;
  await using client = createRegistryClient({ ...options.client, credentials });
  const verified = await client.ping(target.host, { signal }).catch((error: unknown) => {
    throw refusal(authKey("", target), error);
  });
  const storedIn = await keep(target, credentials, options);
  return { registry: authKey("", target), storedIn, verified };
}

/** Here the credentials are what was asked about; where others might be found is beside the point. */
function refusal(registry: string, error: unknown): unknown {
  if (!(error instanceof RegistryError) || error.code !== "ERR_REGISTRY_AUTH_FAILED") return error;
  const { code, status, method, url, diagnostics } = error;
  const message = `${registry} does not take this user name and password: ${error.message}`;
  return new RegistryError(code, message, {
    status,
    method,
    url,
    diagnostics,
    cause: error,
    hint: "Check both; some registries want an access token in place of the password. Nothing was stored.",
  });
}

async function keep(
  target: LoginTarget,
  credentials: { readonly username: string; readonly password: string },
  options: LogInOptions,
): Promise<string> {
  const { env = process.env, signal } = options;
  const { file, helper: general } = loginPlace(options);
  let keeper: { readonly helper: string; readonly server: string } | undefined;
  if (general !== undefined) keeper = { helper: general, server: target.host };
  else {
    // The file is read first, and changed only when its helper has taken the secret.
    await editAuthFile(
      file,
      (entries) => ((keeper = keeperOf(file, entries, target)), NONE),
      signal,
    );
  }
  if (keeper === undefined) {
    const auth = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
    await editAuthFile(file, () => new Map([[authKey(file, target), { auth }]]), signal);
    return file;
  }
  if (target.path !== "") {
    throw invalidArgument(
      `${target.host} is kept by docker-credential-${keeper.helper}, which knows whole hosts only`,
      `Log in to ${target.host}, or name a file with --authfile.`,
    );
  }
  await storeInHelper(keeper.helper, keeper.server, credentials, { env, signal });
  if (general === undefined) {
    await editAuthFile(file, (entries) => withoutSecrets(file, entries, target), signal);
  }
  return `docker-credential-${keeper.helper}`;
}

const NONE: AuthEdits = new Map();

function keeperOf(
  path: string,
  { credHelpers, credsStore }: AuthFileEntries,
  { host }: LoginTarget,
): { readonly helper: string; readonly server: string } | undefined {
  const file = { path, legacy: false };
  const server = helperKeys(host).find((key) => credHelpers.has(key));
  if (server !== undefined) {
    return { helper: requireHelper(file, host, credHelpers.get(server)), server };
  }
  if (credsStore === undefined) return undefined;
  return { helper: requireHelper(file, host, credsStore), server: storeServer(host) };
}

/** What a helper has must not stand in the file as well; Docker leaves an empty entry for its store. */
function withoutSecrets(
  path: string,
  { auths, credHelpers }: AuthFileEntries,
  target: LoginTarget,
): AuthEdits {
  const old = keysOfHost(auths, { path, legacy: false }, target.host);
  const edits = new Map<string, JsonValue | undefined>(old.map((key) => [key, undefined]));
  const isStore = !helperKeys(target.host).some((key) => credHelpers.has(key));
  return isStore ? edits.set(authKey(path, target), {}) : edits;
}

function requireSpeakable({
  username,
  password,
}: {
  readonly username: string;
  readonly password: string;
}): void {
  const isUser = username !== "" && !username.includes(":") && username !== "<token>";
  if (isUser && password !== "" && !/[\u0000-\u001f\u007f]/u.test(username + password)) return;
  throw invalidArgument(
    "no registry could take this user name or password",
    "Both have at least one character and no control characters; a user name has no colon.",
  );
}
