import { readCertificates } from "./certificate-file.ts";
import { type ClientCertificate, readClientCertificate } from "./client-certificate.ts";
import type { HostServer } from "./config/hosts-file.ts";
import type { TlsOptions } from "./tls-options.ts";

/** The certificates that a `hosts.toml` names for a server, as they are now. */
export interface ServerCertificates {
  readonly ca: readonly string[];
  readonly client: ClientCertificate | undefined;
}

/**
 * Reads what `ca` and `client` of a server name.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CERTIFICATE` naming the file.
 */
export async function readServerCertificates({
  ca,
  client: [first],
}: HostServer): Promise<ServerCertificates> {
  return {
    ca: await Promise.all(ca.map(readCertificates)),
    client: first && (await readClientCertificate(first.certificate, first.key)),
  };
}

/**
 * What a `hosts.toml` adds to the TLS settings that a host has by itself. Whoever is asked by the
 * registry's name says all; hosts that it redirects to are held to its authorities as well, since
 * it could have served what they do, but they see no certificate of ours and must have one.
 *
 * @param isForAll - whether `options` are the caller's for every host, and come first.
 */
export function withServerTls(
  options: TlsOptions | undefined,
  { skipVerify }: HostServer,
  { ca, client }: ServerCertificates,
  { isForAll, own }: { readonly isForAll: boolean; readonly own: boolean },
): TlsOptions | undefined {
  const isGiven = isForAll && options?.cert !== undefined;
  const more = {
    ...(ca.length > 0 && { ca: [...(options?.ca ?? []), ...ca] }),
    ...(own && !isGiven && client),
    // Whoever says whether to verify means it, whatever the file says.
    ...(own &&
      skipVerify !== undefined &&
      options?.verify === undefined && { verify: !skipVerify }),
  };
  return Object.keys(more).length === 0 ? options : { ...options, ...more };
}
