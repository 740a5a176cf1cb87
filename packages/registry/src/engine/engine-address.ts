import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

import { escapeText } from "@stowage/content";

import { readCertificates, readText } from "../certificate-file.ts";
import { RegistryError } from "../registry-error.ts";
import type { TlsOptions } from "../tls-options.ts";

/** Where a Docker Engine is reached. */
export interface EngineAddress {
  /** As people write it, for messages. */
  readonly shown: string;
  readonly url: URL;
  /** The Unix socket that it listens at, if it does. */
  readonly socketPath?: string;
  readonly tls?: TlsOptions;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_HOST = "unix:///var/run/docker.sock";
const PORT = "2375";
const TLS_PORT = "2376";
const HINT = "Write unix:///PATH or tcp://HOST:PORT, as for Docker.";

/**
 * The engine that Docker's own client would speak to.
 *
 * @param host - instead of `DOCKER_HOST`.
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT` for an address that is none,
 *   `ERR_REGISTRY_INVALID_CERTIFICATE` for the files of `DOCKER_CERT_PATH`.
 */
export async function findEngine(
  host: string | undefined,
  env: Environment,
): Promise<EngineAddress> {
  const text = host || env["DOCKER_HOST"] || DEFAULT_HOST;
  if (text.startsWith("unix://")) {
    const socketPath = text.slice("unix://".length);
    if (!isAbsolute(socketPath)) throw invalid(text, "it names no absolute path");
    return { shown: text, url: new URL("http://localhost"), socketPath };
  }
  const target = /^tcp:\/\/([^/?#@\s]+)\/?$/u.exec(text)?.[1];
  if (target === undefined) throw invalid(text, "it is neither a Unix socket nor an address");
  // Whoever says one of the two wants TLS; and TLS that trusts anybody is none.
  const wantsTls = Boolean(env["DOCKER_TLS_VERIFY"]) || Boolean(env["DOCKER_CERT_PATH"]);
  const url = URL.parse(`${wantsTls ? "https" : "http"}://${target}`);
  if (url === null) throw invalid(text, "it is neither a Unix socket nor an address");
  // Those of the web go without saying, and are not Docker's.
  if (!/:\d+$/u.test(target)) url.port = wantsTls ? TLS_PORT : PORT;
  return { shown: text, url, ...(wantsTls && { tls: await readTls(env) }) };
}

async function readTls(env: Environment): Promise<TlsOptions> {
  const config = env["DOCKER_CONFIG"] || join(env["HOME"] || homedir(), ".docker");
  const folder = env["DOCKER_CERT_PATH"] || config;
  return {
    authorities: [],
    ca: [await readCertificates(join(folder, "ca.pem"))],
    cert: await readCertificates(join(folder, "cert.pem")),
    key: await readText(join(folder, "key.pem")),
  };
}

function invalid(text: string, what: string): RegistryError {
  // It may hold a password, as ssh://USER:PASSWORD@HOST would.
  const shown = escapeText(text.replace(/\/\/[^/]*@/u, "//"));
  const message = `${shown} is no address of a Docker daemon: ${what}`;
  return new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message, { hint: HINT });
}
