import type { RegistryClient } from "@stowage/registry";

import type { RegistryAccess, RuntimeOptions } from "./runtime-options.ts";

/** A client that reaches registries as the runtime was told to, or as one caller says. */
export async function wireRegistry(
  options: Pick<RuntimeOptions, keyof RegistryAccess | "env">,
  given: RegistryAccess = {},
): Promise<RegistryClient> {
  const { createRegistryClient, loadCredentials, loadHostTls } = await import("@stowage/registry");
  const { credentials, authfile, certDir, tlsVerify } = accessOf(options, given);
  const hostTls = loadHostTls({ certDir, env: options.env });
  return createRegistryClient({
    credentials: credentials ?? loadCredentials({ authfile, env: options.env }),
    tls: async (host) => ({ ...(await hostTls(host)), verify: tlsVerify ?? true }),
  });
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
