import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { requirePeer } from "./peers.ts";
import { tempDir } from "./temp-dir.ts";
import type { TokenServer } from "./token-server.ts";

/** How the registry is set up. */
export interface DockerRegistryOptions {
  /** The text of an htpasswd file, with bcrypt hashes: Basic authentication. */
  readonly htpasswd?: string;
  /** Bearer tokens of one issuer, as `startTokenServer` has it for its `trust`. */
  readonly token?: TokenServer["trust"];
  /** The files of a certificate and its key. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** A running registry; it ends with its scope. */
export interface DockerRegistry extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  readonly url: string;
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
    http: { addr: host, secret: "test", ...(options.tls && { tls: options.tls }) },
    ...(options.htpasswd !== undefined && {
      auth: { htpasswd: { realm: "test", path: htpasswd } },
    }),
    ...(options.token && { auth: { token: tokenConfig(options.token) } }),
  };
  const configPath = join(folder.path, "config.yml");
  await writeFile(configPath, JSON.stringify(config));
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
    host,
    url: `${options.tls ? "https" : "http"}://${host}`,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await ended;
      await folder[Symbol.asyncDispose]();
    },
  };
}

function tokenConfig({ realm, service, issuer, certificate }: TokenServer["trust"]) {
  return { realm, service, issuer, rootcertbundle: certificate };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function waitForPort(port: number, isAlive: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
    if (!isAlive() || Date.now() > deadline) throw new Error(`nothing listens on ${port}`);
    await sleep(20);
  }
}
