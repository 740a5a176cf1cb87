import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { RegistryError } from "./registry-error.ts";
import type { TlsOptions } from "./tls-options.ts";

/** Where {@link loadHostTls} looks. */
export interface LoadHostTlsOptions {
  /** A directory with `*.crt`, `*.cert` and `*.key` for every host. It must exist. */
  readonly certDir?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * The TLS settings that the user has for other tools of the ecosystem: of each host, the first of
 * `~/.config/containers/certs.d/HOST`, `/etc/containers/certs.d/HOST` and
 * `/etc/docker/certs.d/HOST` that can be listed. `*.crt` are authorities, `X.cert` with `X.key` the
 * client's own; of several pairs the first by name is used.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CERTIFICATE` when looked up, for a file that
 *   is no PEM, a certificate without its key or the reverse, or a `certDir` that cannot be listed.
 */
export function loadHostTls(
  options: LoadHostTlsOptions = {},
): (host: string) => Promise<TlsOptions | undefined> {
  const { certDir, env = process.env } = options;
  return async (host) => {
    if (certDir !== undefined) return readCertDir(certDir, await list(certDir, true));
    const home = env["HOME"] || homedir();
    const config = env["XDG_CONFIG_HOME"] || join(home, ".config");
    for (const parent of [join(config, "containers"), "/etc/containers", "/etc/docker"]) {
      const directory = join(parent, "certs.d", host);
      const names = await list(directory, false);
      if (names !== undefined) return readCertDir(directory, names);
    }
    return undefined;
  };
}

async function list(directory: string, required: boolean): Promise<readonly string[] | undefined> {
  try {
    return (await readdir(directory)).sort();
  } catch (cause) {
    if (!required) return undefined;
    throw invalid(directory, "it cannot be listed", cause);
  }
}

async function readCertDir(directory: string, names: readonly string[] = []): Promise<TlsOptions> {
  const ca: string[] = [];
  const pairs: { readonly cert: string; readonly key: string }[] = [];
  for (const name of names) {
    const path = join(directory, name);
    if (name.endsWith(".crt")) ca.push(await readCertificates(path));
    else if (name.endsWith(".cert")) pairs.push(await readPair(path, names.includes(keyOf(name))));
    else if (name.endsWith(".key") && !names.includes(name.replace(/key$/u, "cert"))) {
      throw invalid(path, `it has no ${name.replace(/key$/u, "cert")} beside it`);
    }
  }
  return { ...(ca.length > 0 && { ca }), ...pairs[0] };
}

async function readPair(
  path: string,
  hasKey: boolean,
): Promise<{ readonly cert: string; readonly key: string }> {
  const keyPath = keyOf(path);
  if (!hasKey) throw invalid(path, `it has no ${keyPath} beside it`);
  const cert = await readCertificates(path);
  const key = await read(keyPath);
  let matches: boolean;
  try {
    matches = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // No cause: OpenSSL's message is about bytes of a private key.
    throw invalid(keyPath, "it is not a private key in PEM without a passphrase");
  }
  if (!matches) throw invalid(keyPath, `it is not the key of ${path}`);
  return { cert, key };
}

async function readCertificates(path: string): Promise<string> {
  const text = await read(path);
  const blocks = text.match(/-----BEGIN [^-]*-----[^-]*-----END [^-]*-----/gu) ?? [];
  try {
    if (blocks.map((block) => new X509Certificate(block)).length > 0) return text;
  } catch (cause) {
    throw invalid(path, "it is not a list of certificates in PEM", cause);
  }
  throw invalid(path, "it holds no certificate in PEM");
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw invalid(path, hasErrorCode(cause, "ENOENT") ? "it is gone" : "it cannot be read", cause);
  }
}

function keyOf(certificate: string): string {
  return certificate.replace(/cert$/u, "key");
}

function invalid(path: string, what: string, cause?: unknown): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_CERTIFICATE", `${path}: ${what}`, {
    hint: "Mend or remove the file. Connections to its host are refused until then.",
    ...(cause !== undefined && { cause }),
  });
}
