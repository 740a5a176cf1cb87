import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { freePort, waitForPort } from "./free-port.ts";
import { requirePeer } from "./peers.ts";
import { tempDir } from "./temp-dir.ts";

/** An nginx before a server; it ends with its scope. */
export interface CuttingProxy extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  /** Cuts every connection, whatever is under way on it; new ones are taken at once. */
  cut(): Promise<void>;
}

const PATIENCE_MS = 10_000;

/** Starts nginx on a free port of the loopback, in front of `upstream`, an address and port. */
export async function startCuttingProxy(upstream: string): Promise<CuttingProxy> {
  const program = requirePeer("nginx");
  const folder = await tempDir("stowage-nginx-");
  const port = await freePort();
  const config = join(folder.path, "nginx.conf");
  await writeFile(config, configFor(folder.path, port, upstream));
  const log = join(folder.path, "error.log");
  const server = spawn(program, ["-p", folder.path, "-c", config, "-e", log], { stdio: "ignore" });
  const ended = once(server, "close");
  const stop = async (): Promise<void> => {
    server.kill("SIGTERM");
    await ended;
    await folder[Symbol.asyncDispose]();
  };
  try {
    await waitForPort(port, () => server.exitCode === null);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    host: `127.0.0.1:${port}`,
    async cut() {
      const before = workersOf(server.pid);
      server.kill("SIGHUP");
      const deadline = Date.now() + PATIENCE_MS;
      for (;;) {
        const now = workersOf(server.pid);
        if (now.length > 0 && !now.some((worker) => before.includes(worker))) return;
        if (Date.now() > deadline) throw new Error("nginx's old workers do not end");
        await sleep(5);
      }
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** What is reloaded gets new workers, and the old ones a moment to end what they are at. */
function configFor(path: string, port: number, upstream: string): string {
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${path}/${name};`,
  );
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `daemon off; ${user} worker_processes 1; worker_shutdown_timeout 10ms;
pid ${path}/nginx.pid; error_log ${path}/error.log;
events { worker_connections 256; }
http {
  access_log off; client_max_body_size 0; ${folders.join(" ")}
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://${upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_buffering off; proxy_request_buffering off;
    }
  }
}
`;
}

function workersOf(pid: number | undefined): readonly string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return children.split(" ").filter((child) => child.trim() !== "");
}
