import { readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import type { ConfigEventOptions } from "./config-event.ts";
import {
  type ClientCertificateFiles,
  HOSTS_HINT,
  type HostsFile,
  parseHostsFile,
} from "./hosts-file.ts";
import { invalidConfig } from "./toml-document.ts";

/** Where {@link loadContainerdHosts} looks. */
export interface LoadContainerdHostsOptions extends ConfigEventOptions {
  /** The only directory to look into. It must exist. */
  readonly directory?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Where the system's own configuration is. @defaultValue `/etc` */
  readonly etc?: string | undefined;
}

/**
 * What containerd's configuration says about the registry `host` (`name` or `name:port`, Docker Hub
 * as `docker.io`); `undefined` if nothing.
 */
export type ContainerdHosts = (host: string) => HostsFile | undefined;

const FALLBACK = "_default";

/**
 * The `hosts.toml` files that the user has for containerd, in `directory`, or in
 * `~/.config/containerd/certs.d` and `/etc/containerd/certs.d`: of the first that has one, that of
 * `HOST_PORT_`, of `HOST:PORT` or of `_default`. A directory without the file is taken for one of
 * certificates, as Docker has them: `*.crt` of authorities, `*.cert` and `*.key` of the client.
 *
 * Each file is read when its registry is first asked for: load again to see a change.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` if `directory` is none; and when
 *   looked up, with file, line and key.
 */
export function loadContainerdHosts(options: LoadContainerdHostsOptions = {}): ContainerdHosts {
  const { directory, env = process.env, etc = "/etc", onEvent } = options;
  if (directory !== undefined && list(directory) === undefined) {
    const hint = "Name one that has a directory for each registry with --hosts-dir.";
    throw invalidConfig(`${directory}: there is no such directory of hosts`, undefined, hint);
  }
  const home = env["HOME"] || homedir();
  const config = env["XDG_CONFIG_HOME"] || join(home, ".config");
  const parents =
    directory === undefined
      ? [join(config, "containerd/certs.d"), join(etc, "containerd/certs.d")]
      : [directory];
  const found = new Map<string, HostsFile | undefined>();
  const read = (host: string): HostsFile | undefined => {
    const folder = parents
      .flatMap((parent) => namesOf(host).map((name) => join(parent, name)))
      .find(isThere);
    if (folder === undefined) return undefined;
    const file = join(folder, "hosts.toml");
    const bytes = readIfThere(file);
    if (bytes === undefined || bytes.byteLength === 0) return certificatesIn(folder);
    const { unknownKeys, ...hosts } = parseHostsFile(file, bytes);
    onEvent?.({ type: "config-file", file, unknownKeys });
    return hosts;
  };
  return (host) => {
    // What could not be read is read again: it may be mended.
    if (!found.has(host)) found.set(host, read(host));
    return found.get(host);
  };
}

/** The names that the directory of a host may have, the first choice first. */
function namesOf(host: string): readonly string[] {
  const [, name = "", port = ""] = /^(.+):(\d+)$/u.exec(host) ?? [];
  return port === "" ? [host, FALLBACK] : [`${name}_${port}_`, host, FALLBACK];
}

function certificatesIn(folder: string): HostsFile | undefined {
  const names = list(folder) ?? [];
  const ca = names.filter((name) => name.endsWith(".crt")).map((name) => join(folder, name));
  const client = names
    .filter((name) => name.endsWith(".cert"))
    .map((name): ClientCertificateFiles => {
      const key = name.replace(/cert$/u, "key");
      const certificate = join(folder, name);
      return names.includes(key) ? { certificate, key: join(folder, key) } : { certificate };
    });
  if (ca.length === 0 && client.length === 0) return undefined;
  const capabilities = new Set(["pull", "resolve", "push", "referrers"] as const);
  return {
    file: folder,
    servers: [{ key: "*.crt, *.cert", capabilities, ca, client, headers: new Map() }],
  };
}

/** What is there and cannot be looked at says something that is not known. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    throw invalidConfig(`${path}: it cannot be looked into`, cause, HOSTS_HINT);
  }
}

function readIfThere(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw invalidConfig(`${file}: it cannot be read`, cause, HOSTS_HINT);
  }
}

function list(directory: string): readonly string[] | undefined {
  try {
    return readdirSync(directory).sort();
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw invalidConfig(`${directory}: it cannot be listed`, cause, HOSTS_HINT);
  }
}
