import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { requirePeer } from "@stowage/testkit";

import { type Puller, syncedAfter } from "./puller.ts";
import { clear } from "./stage.ts";

const run = promisify(execFile);
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** How `ctr` is told to sync what it unpacks; it is, where it fetches by itself (2.0 and later). */
const SYNC_OPTIONS = ["--local", "--sync-fs"];

/** What makes it durable here. */
export async function containerdSetting(): Promise<string> {
  return (await canSync()) ? `ctr ${SYNC_OPTIONS.join(" ")}` : "no such setting: sync -f after it";
}

/** A daemon of its own, started anew for each store. */
export async function containerdPuller(folder: string, isDurable = false): Promise<Puller> {
  const root = join(folder, "containerd");
  const socket = join(root, "socket");
  const own = ["-a", socket, "-n", "bench"];
  const ctr = requirePeer("ctr");
  const syncs = isDurable && (await canSync());
  let stop = async (): Promise<void> => {};
  let pid = 0;
  const end = async (): Promise<void> => {
    await stop();
    await clear(root);
  };
  return {
    async reset() {
      await end();
      ({ pid, stop } = await startDaemon(root, socket));
      await run(ctr, ["--address", socket, "version"]);
    },
    clear: end,
    pull(reference) {
      const options = ["--plain-http", ...(syncs ? SYNC_OPTIONS : [])];
      const args = [...own, "images", "pull", ...options, reference];
      const command = { program: ctr, args, daemons: [pid] };
      return isDurable && !syncs ? syncedAfter(command, folder) : command;
    },
    async withRoot(reference, look) {
      // What is not unpacked yet, `mount` would unpack.
      const { stdout } = await run(ctr, [...own, "snapshots", "ls"]);
      if (!stdout.includes("Committed")) throw new Error("containerd has unpacked nothing");
      const target = join(root, "mounted");
      await mkdir(target);
      await run(ctr, [...own, "images", "mount", reference, target]);
      try {
        return await look(target);
      } finally {
        await run(ctr, [...own, "images", "unmount", "--rm", target]);
      }
    },
    [Symbol.asyncDispose]: end,
  };
}

async function canSync(): Promise<boolean> {
  const { stdout } = await run(requirePeer("ctr"), ["images", "pull", "--help"]);
  return SYNC_OPTIONS.every((option) => stdout.includes(option));
}

async function startDaemon(
  root: string,
  socket: string,
): Promise<{ pid: number; stop: () => Promise<void> }> {
  await mkdir(root, { recursive: true });
  const config = join(root, "config.toml");
  const lines = [
    "version = 2",
    `root = "${join(root, "root")}"`,
    `state = "${join(root, "state")}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `[grpc]\naddress = "${socket}"`,
    `[ttrpc]\naddress = "${socket}.ttrpc"`,
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
  return { pid: daemon.pid ?? 0, stop };
}
