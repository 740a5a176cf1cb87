import type { RegistryClient, TransferEvent } from "@stowage/registry";

import {
  openRegistryClient,
  type RegistriesSource,
  registriesSource,
} from "./open-registry-client.ts";
import type { RegistryAccess, RegistrySettings } from "./runtime-options.ts";

/** What {@link wireRegistry} may know beside the settings. */
export interface WireRegistryOptions {
  readonly registries?: RegistriesSource;
  /** Told what happens to what is transferred, beside `onRegistryEvent`, which is told all. */
  readonly onTransfer?: ((event: TransferEvent) => void) | undefined;
}

/** A client that reaches registries as the runtime was told to, or as one caller says. */
export async function wireRegistry(
  options: RegistryAccess & RegistrySettings,
  given: RegistryAccess = {},
  { registries = registriesSource(options), onTransfer }: WireRegistryOptions = {},
): Promise<RegistryClient> {
  const { isTransferEvent } = await import("@stowage/registry");
  const onRegistryEvent: RegistrySettings["onRegistryEvent"] = (event) => {
    options.onRegistryEvent?.(event);
    if (isTransferEvent(event)) onTransfer?.(event);
  };
  const access = accessOf(options, given);
  return await openRegistryClient({ ...options, ...access, onRegistryEvent }, registries);
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
