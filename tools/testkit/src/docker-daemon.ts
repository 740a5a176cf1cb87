import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { requirePeer } from "./peers.ts";
import { tempDir } from "./temp-dir.ts";

/** What speaks Docker's language. */
export type DockerDaemonKind = "dockerd" | "podman";

/** A running daemon with no image in it; it ends with its scope. */
export interface DockerDaemon extends AsyncDisposable {
  /** As `DOCKER_HOST` has it. */
  readonly host: string;
  readonly socketPath: string;
  /** Global options by which `podman` sees the same store. Of no use for `dockerd`. */
  readonly podmanOptions: readonly string[];
}

const START_MS = 60_000;
const POLL_MS = 50;

/** Starts a daemon over directories of its own, with no network and at a socket of its own. */
export async function startDockerDaemon(kind: DockerDaemonKind): Promise<DockerDaemon> {
  const program = requirePeer(kind);
  const folder = await tempDir("stowage-daemon-");
  const at = (name: string): string => join(folder.path, name);
  const socketPath = at("sock");
  const host = `unix://${socketPath}`;
  const podmanOptions = ["--root", at("root"), "--runroot", at("run"), "--storage-driver=vfs"];
  const places = ["--data-root", at("root"), "--exec-root", at("run"), "--pidfile", at("pid")];
  const noNetwork = ["--iptables=false", "--ip6tables=false", "--bridge=none"];
  const args =
    kind === "podman"
      ? [...podmanOptions, "system", "service", "--time=0", host]
      : [...places, ...noNetwork, "--storage-driver=vfs", "--host", host];
  const env = { ...process.env, TMPDIR: folder.path };
  const daemon = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], env });
  let complaints = "";
  daemon.stderr.setEncoding("utf8");
  daemon.stderr.on("data", (text: string) => (complaints = `${complaints}${text}`.slice(-4096)));
  const ended = once(daemon, "close");
  const stop = async (): Promise<void> => {
    // It ends its own containerd, and unmounts what it has mounted.
    daemon.kill("SIGTERM");
    await ended;
    await folder[Symbol.asyncDispose]();
  };
  for (const deadline = performance.now() + START_MS; !(await answers(socketPath));) {
    if (daemon.exitCode === null && performance.now() < deadline) {
      await sleep(POLL_MS);
      continue;
    }
    await stop();
    throw new Error(`${kind} did not start: ${complaints}`);
  }
  return { host, socketPath, podmanOptions, [Symbol.asyncDispose]: stop };
}

async function answers(socketPath: string): Promise<boolean> {
  try {
    await stat(socketPath);
    const asked = request({ socketPath, path: "/_ping" }).end();
    const [response] = (await once(asked, "response")) as [NodeJS.ReadableStream];
    response.resume();
    return true;
  } catch {
    return false;
  }
}
