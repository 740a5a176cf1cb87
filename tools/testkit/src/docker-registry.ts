import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { freePort, waitForPort } from "./free-port.ts";
import { requirePeer } from "./peers.ts";
import { tempDir } from "./temp-dir.ts";
import type { TokenServer } from "./token-server.ts";

/** How the registry is set up. */
export interface DockerRegistryOptions {
  /** A pattern of the URLs that layers may name, which are not pushed then; none unless told. */
  readonly layerUrls?: string;
  /** The text of an htpasswd file, with bcrypt hashes: Basic authentication. */
  readonly htpasswd?: string;
  /** Bearer tokens of one issuer, as `startTokenServer` has it for its `trust`. */
  readonly token?: TokenServer["trust"];
  /** The files of a certificate and its key, and of the authority that clients must be known to. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clients?: string };
}

/** A running registry; it ends with its scope. */
export interface DockerRegistry extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  readonly url: string;
  /** Kills it and starts it again, on the same port and over the same directory. */
  restart(): Promise<void>;
}

/** Starts Debian's `docker-registry` on a free port of the loopback, over a directory of its own. */
export async function startDockerRegistry(
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const program = requirePeer("docker-registry");
  const folder = await tempDir("stowage-registry-");
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const htpasswd = join(folder.path, "htpasswd");
  if (options.htpasswd !== undefined) await writeFile(htpasswd, options.htpasswd);
  const config = {
    version: 0.1,
    log: { level: "error" },
    storage: {
      filesystem: { rootdirectory: join(folder.path, "data") },
      delete: { enabled: true },
    },
    http: { addr: host, secret: "test", ...(options.tls && { tls: tlsConfig(options.tls) }) },
    ...(options.htpasswd !== undefined && {
      auth: { htpasswd: { realm: "test", path: htpasswd } },
    }),
    ...(options.token && { auth: { token: tokenConfig(options.token) } }),
    ...(options.layerUrls !== undefined && {
      validation: { manifests: { urls: { allow: [options.layerUrls] } } },
    }),
  };
  const configPath = join(folder.path, "config.yml");
  await writeFile(configPath, JSON.stringify(config));
  let running = await serveRegistry(program, configPath, port);
  return {
    host,
    url: `${options.tls ? "https" : "http"}://${host}`,
    async restart() {
      await running[Symbol.asyncDispose]();
      running = await serveRegistry(program, configPath, port);
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function serveRegistry(
  program: string,
  configPath: string,
  port: number,
): Promise<AsyncDisposable> {
  const server = spawn(program, ["serve", configPath], { stdio: ["ignore", "ignore", "pipe"] });
  let complaints = "";
  server.stderr.setEncoding("utf8");
  server.stderr.on("data", (text: string) => (complaints += text));
  const ended = once(server, "close");
  await waitForPort(port, () => server.exitCode === null).catch(async (error: unknown) => {
    server.kill("SIGKILL");
    throw new Error(`docker-registry did not start: ${complaints}`, { cause: error });
  });
  return {
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await ended;
    },
  };
}

function tlsConfig({ certificate, key, clients }: NonNullable<DockerRegistryOptions["tls"]>) {
  return { certificate, key, ...(clients !== undefined && { clientcas: [clients] }) };
}

function tokenConfig({ realm, service, issuer, certificate }: TokenServer["trust"]) {
  return { realm, service, issuer, rootcertbundle: certificate };
}
