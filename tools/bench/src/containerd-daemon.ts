import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { requirePeer } from "@stowage/testkit";

/** A containerd that runs. */
export interface ContainerdDaemon {
  readonly pid: number;
  readonly socket: string;
  stop(): Promise<void>;
}

const run = promisify(execFile);
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;
const CRI = "io.containerd.grpc.v1.cri";

/** @param cri - Lines for the CRI plugin's configuration; without them it has no such plugin. */
export async function startContainerd(
  root: string,
  cri: readonly string[] | undefined,
): Promise<ContainerdDaemon> {
  await mkdir(root, { recursive: true });
  const [config, socket] = [join(root, "config.toml"), join(root, "socket")];
  const lines = [
    "version = 2",
    `root = "${join(root, "root")}"`,
    `state = "${join(root, "state")}"`,
    cri === undefined ? `disabled_plugins = ["${CRI}"]` : "",
    `[grpc]\naddress = "${socket}"`,
    `[ttrpc]\naddress = "${socket}.ttrpc"`,
    cri === undefined ? "" : [`[plugins."${CRI}"]`, ...cri].join("\n"),
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  const args = ["--config", config, "--log-level", "error"];
  const daemon = spawn(requirePeer("containerd"), args, { stdio: "ignore" });
  const ended = once(daemon, "close");
  const stop = async (): Promise<void> => {
    daemon.kill("SIGTERM");
    await ended;
  };
  for (const since = Date.now(); !existsSync(socket); await sleep(LOOK_EVERY_MS)) {
    if (daemon.exitCode === null && Date.now() - since < PATIENCE_MS) continue;
    await stop();
    throw new Error("containerd did not start");
  }
  await run(requirePeer("ctr"), ["--address", socket, "version"]);
  return { pid: daemon.pid ?? 0, socket, stop };
}
