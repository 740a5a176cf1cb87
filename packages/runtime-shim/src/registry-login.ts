import type { LoggedIn, LoggedOut } from "@stowage/registry";

import { registriesSource, registryClientOptions } from "./open-registry-client.ts";
import type { RegistryAccess, RegistrySettings } from "./runtime-options.ts";

/** How a registry is logged in to and out from; no store is needed. */
export interface RegistryLoginOptions
  extends Omit<RegistryAccess, "credentials">, RegistrySettings {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks a registry whether it takes these credentials, and keeps them where every tool of the
 * ecosystem finds them.
 *
 * @throws {@link @stowage/registry#RegistryError} as `logIn` of `@stowage/registry` does.
 */
export async function logInToRegistry(
  registry: string,
  credentials: { readonly username: string; readonly password: string },
  options: RegistryLoginOptions = {},
): Promise<LoggedIn> {
  const { logIn } = await import("@stowage/registry");
  const { authfile, env, signal } = options;
  const conf = await registriesSource(options).current();
  const { credentials: _none, ...client } = await registryClientOptions(options, conf);
  const { credentialHelpers: helpers } = conf;
  return logIn(registry, credentials, { authfile, env, helpers, client, signal });
}

/**
 * Forgets the credentials for a registry, or all.
 *
 * @throws {@link @stowage/registry#RegistryError} as `logOut` of `@stowage/registry` does.
 */
export async function logOutOfRegistry(
  registry: string | { readonly all: true },
  options: RegistryLoginOptions = {},
): Promise<LoggedOut> {
  const { logOut } = await import("@stowage/registry");
  const { authfile, env, signal } = options;
  const { credentialHelpers: helpers } = await registriesSource(options).current();
  return logOut(registry, { authfile, env, helpers, signal });
}
