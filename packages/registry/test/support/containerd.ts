import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { requirePeer } from "@stowage/testkit";

const run = promisify(execFile);
const PATIENCE_MS = 60_000;
const CRI = "io.containerd.grpc.v1.cri";

/** A containerd of its own, without what it has for Kubernetes. */
export interface Containerd extends AsyncDisposable {
  /** Fetches an image with all that it consists of, and unpacks nothing. */
  fetch(reference: string, hostsDir: string): Promise<void>;
}

/** @param root - for all that it keeps, its socket included. */
export async function startContainerd(root: string): Promise<Containerd> {
  const [config, socket] = [join(root, "config.toml"), join(root, "socket")];
  const lines = [
    "version = 2",
    `root = "${join(root, "root")}"`,
    `state = "${join(root, "state")}"`,
    `disabled_plugins = ["${CRI}"]`,
    `[grpc]\naddress = "${socket}"`,
    `[ttrpc]\naddress = "${socket}.ttrpc"`,
  ];
  writeFileSync(config, `${lines.join("\n")}\n`);
  const args = ["--config", config, "--log-level", "error"];
  const daemon = spawn(requirePeer("containerd"), args, { stdio: "ignore" });
  const ended = once(daemon, "close");
  const stop = async (): Promise<void> => {
    daemon.kill("SIGTERM");
    await ended;
  };
  for (const since = Date.now(); !existsSync(socket); await sleep(20)) {
    if (daemon.exitCode === null && Date.now() - since < PATIENCE_MS) continue;
    await stop();
    throw new Error("containerd did not start");
  }
  return {
    async fetch(reference, hostsDir) {
      const how = ["content", "fetch", "--hosts-dir", hostsDir, "--all-platforms", reference];
      await run(requirePeer("ctr"), ["--address", socket, "--namespace", "it", ...how]);
    },
    [Symbol.asyncDispose]: stop,
  };
}
