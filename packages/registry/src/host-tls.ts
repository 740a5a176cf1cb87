import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { invalidCertificate, readCertificates } from "./certificate-file.ts";
import { type ClientCertificate, readClientCertificate } from "./client-certificate.ts";
import { loadAuthorities } from "./config/authorities.ts";
import type { ConfigEventOptions } from "./config/config-event.ts";
import type { TlsOptions } from "./tls-options.ts";

/** Where {@link loadHostTls} looks. */
export interface LoadHostTlsOptions extends ConfigEventOptions {
  /** A directory with `*.crt`, `*.cert` and `*.key` for every host. It must exist. */
  readonly certDir?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Where the system's own configuration is. @defaultValue `/etc` */
  readonly etc?: string | undefined;
  /** Whether every host must prove who it is, whatever else says so. @defaultValue nothing is said */
  readonly verify?: boolean | undefined;
}

/** Finds the TLS settings of a host. */
export interface HostTlsLookup {
  (host: string): Promise<TlsOptions | undefined>;
  /**
   * Whether it says the same of every host: then the client certificate goes to the registry alone,
   * and to no host that the registry names.
   */
  readonly sameForAll?: boolean;
}

/**
 * The TLS settings that the user has for other tools of the ecosystem: of each host, the first of
 * `~/.config/containers/certs.d/HOST`, `/etc/containers/certs.d/HOST` and
 * `/etc/docker/certs.d/HOST` that can be listed. `*.crt` are authorities, `X.cert` with `X.key` the
 * client's own; of several pairs the first by name is used. `$SSL_CERT_FILE` and `$SSL_CERT_DIR`
 * take the place of the authorities of Node and of the system.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CERTIFICATE` when looked up, for a file that
 *   is no PEM, a certificate without its key or the reverse, a directory that cannot be listed, or a
 *   variable that names no certificates.
 */
export function loadHostTls(options: LoadHostTlsOptions = {}): HostTlsLookup {
  const { certDir, env = process.env, etc = "/etc", verify, onEvent } = options;
  let authorities: Promise<readonly string[] | undefined> | undefined;
  const find = async (host: string): Promise<FoundCertificates | undefined> => {
    if (certDir !== undefined) return readCertDir(certDir, await list(certDir, true));
    const home = env["HOME"] || homedir();
    const config = env["XDG_CONFIG_HOME"] || join(home, ".config");
    for (const parent of [join(config, "containers"), `${etc}/containers`, `${etc}/docker`]) {
      const directory = join(parent, "certs.d", host);
      const names = await list(directory, false);
      if (names !== undefined) return readCertDir(directory, names);
    }
    return undefined;
  };
  const lookup = async (host: string): Promise<TlsOptions | undefined> => {
    // Who accepts any certificate needs no authorities.
    if (verify !== false) authorities ??= loadAuthorities(env);
    const trusted = await authorities;
    const found = await find(host);
    if (found !== undefined) {
      const { directory: source, ca, pair } = found;
      const client = pair !== undefined;
      onEvent?.({ type: "certificates", host, source, authorities: ca.length, client });
    }
    if (found === undefined && trusted === undefined && verify === undefined) return undefined;
    return {
      ...(trusted !== undefined && { authorities: trusted }),
      ...(found !== undefined && found.ca.length > 0 && { ca: found.ca }),
      ...found?.pair,
      ...(verify !== undefined && { verify }),
    };
  };
  return Object.assign(lookup, { sameForAll: certDir !== undefined });
}

interface FoundCertificates {
  readonly directory: string;
  readonly ca: readonly string[];
  readonly pair: ClientCertificate | undefined;
}

async function list(directory: string, required: boolean): Promise<readonly string[] | undefined> {
  try {
    return (await readdir(directory)).sort();
  } catch (cause) {
    if (!required && hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    if (!hasErrorCode(cause, "ENOENT", "ENOTDIR")) {
      throw invalidCertificate(directory, "it cannot be listed", cause);
    }
    const what = "there is no such directory of certificates";
    const hint = "Name one that holds *.crt, or *.cert with *.key, with --cert-dir.";
    throw invalidCertificate(directory, what, cause, hint);
  }
}

async function readCertDir(
  directory: string,
  names: readonly string[] = [],
): Promise<FoundCertificates> {
  const ca: string[] = [];
  const pairs: ClientCertificate[] = [];
  for (const name of names) {
    const path = join(directory, name);
    if (name.endsWith(".crt")) ca.push(await readCertificates(path));
    else if (name.endsWith(".cert")) {
      const keyPath = keyOf(path);
      if (!names.includes(keyOf(name))) {
        throw invalidCertificate(path, `it has no ${keyPath} beside it`);
      }
      pairs.push(await readClientCertificate(path, keyPath));
    } else if (name.endsWith(".key") && !names.includes(name.replace(/key$/u, "cert"))) {
      throw invalidCertificate(path, `it has no ${name.replace(/key$/u, "cert")} beside it`);
    }
  }
  return { directory, ca, pair: pairs[0] };
}

function keyOf(certificate: string): string {
  return certificate.replace(/cert$/u, "key");
}
