import type { RegistryClient } from "@stowage/registry";

import {
  openRegistryClient,
  type RegistriesSource,
  registriesSource,
} from "./open-registry-client.ts";
import type { RegistryAccess, RegistrySettings } from "./runtime-options.ts";

/** A client that reaches registries as the runtime was told to, or as one caller says. */
export async function wireRegistry(
  options: RegistryAccess & RegistrySettings,
  given: RegistryAccess = {},
  registries: RegistriesSource = registriesSource(options),
): Promise<RegistryClient> {
  return await openRegistryClient({ ...options, ...accessOf(options, given) }, registries);
}

// A caller's settings come instead of the runtime's. Who says where credentials are, by either way,
// must not be given the runtime's by the other.
function accessOf(options: RegistryAccess, given: RegistryAccess): RegistryAccess {
  const { credentials, authfile } =
    given.credentials === undefined && given.authfile === undefined ? options : given;
  return {
    credentials,
    authfile,
    certDir: given.certDir ?? options.certDir,
    tlsVerify: given.tlsVerify ?? options.tlsVerify,
  };
}
