import type {
  BandwidthLimit,
  RegistriesConf,
  RegistryClient,
  RegistryClientOptions,
} from "@stowage/registry";

import type { RegistryAccess, RegistrySettings } from "./runtime-options.ts";

/** Reads `registries.conf` anew each time that it is asked. */
export interface RegistriesSource {
  current(): Promise<RegistriesConf>;
}

/**
 * What `registries.conf` says now. Once it could be read, a later mistake in it is told to
 * `onWarning`, and what was read before stays in force: a runtime goes on while its configuration is
 * edited.
 */
export function registriesSource(options: RegistrySettings): RegistriesSource {
  const { registriesConf: path, shortNameAliases: aliasFile, env, onWarning } = options;
  const { onRegistryEvent: onEvent } = options;
  let last: RegistriesConf | undefined;
  return {
    async current() {
      const { loadRegistriesConf } = await import("@stowage/registry");
      try {
        last = await loadRegistriesConf({ path, aliasFile, env, onEvent });
      } catch (error) {
        if (last === undefined) throw error;
        onWarning?.("registries.conf: what was read before stays in force", error);
      }
      return last;
    },
  };
}

/** How registries are reached, by all that the user has configured for them. */
export async function registryClientOptions(
  options: RegistryAccess & RegistrySettings,
  registries: RegistriesConf,
): Promise<RegistryClientOptions> {
  const { loadContainerdHosts, loadCredentials, loadHostTls, loadProxies } =
    await import("@stowage/registry");
  const { credentials, authfile, certDir, hostsDir, tlsVerify: verify, env } = options;
  const { onRegistryEvent: onEvent, resolve, bandwidth } = options;
  const { requestsPerSecond, rateLimits, http2 } = options;
  const { credentialHelpers: helpers } = registries;
  return {
    credentials: credentials ?? loadCredentials({ authfile, env, helpers, onEvent }),
    tls: loadHostTls({ certDir, env, verify, onEvent }),
    proxy: loadProxies({ env, onEvent }),
    registries,
    hosts: loadContainerdHosts({ directory: hostsDir, env, onEvent }),
    resolve,
    bandwidth,
    requestsPerSecond,
    http2,
    rateLimits,
    onEvent,
  };
}

/**
 * A number of bytes a second for all that share it; it may be changed while they run.
 *
 * @throws {@link @stowage/registry#RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT` unless it is over
 *   0.
 */
export async function createBandwidthLimit(bytesPerSecond: number): Promise<BandwidthLimit> {
  const { BandwidthLimit: Limit } = await import("@stowage/registry");
  return new Limit(bytesPerSecond);
}

/** The same settings, by which all who are given them have one count of requests. */
export async function withSharedRate<Settings extends RegistrySettings>(
  settings: Settings,
): Promise<Settings> {
  const { requestsPerSecond: rate } = settings;
  // Most have no limit, and need not load all of the client for it.
  if (typeof rate !== "number") return settings;
  const { RequestRate } = await import("@stowage/registry");
  return { ...settings, requestsPerSecond: new RequestRate(rate) };
}

/** A client with all that the user has configured for registries; the caller disposes of it. */
export async function openRegistryClient(
  options: RegistryAccess & RegistrySettings,
  registries: RegistriesSource,
): Promise<RegistryClient> {
  const { createRegistryClient, requireAuthFile } = await import("@stowage/registry");
  const { authfile, credentials } = options;
  // Found only when a registry asks for credentials, it would have been asked as somebody else.
  if (authfile !== undefined && credentials === undefined) await requireAuthFile(authfile);
  return createRegistryClient(await registryClientOptions(options, await registries.current()));
}
