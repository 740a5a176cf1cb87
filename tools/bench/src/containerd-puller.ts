import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { requirePeer } from "@stowage/testkit";

import { type ContainerdDaemon, startContainerd } from "./containerd-daemon.ts";
import { criPull } from "./cri-pull.ts";
import type { BenchCommand } from "./measure-process.ts";
import { type Puller, syncedAfter } from "./puller.ts";
import { clear } from "./stage.ts";

/** How containerd is asked. */
export interface ContainerdMode {
  /** Its own client, or what Kubernetes asks it by. */
  readonly client: "cri" | "ctr";
  readonly isDurable: boolean;
}

/** What makes a mode durable, where there is such a setting. */
interface SyncSetting {
  readonly text: string;
  /** For `ctr`. */
  readonly options: readonly string[];
  /** For the configuration of the CRI plugin. */
  readonly config: readonly string[];
}

const run = promisify(execFile);

// `ctr` syncs only where it fetches by itself, as it always did before 2.0.
const CTR_OPTIONS = ["--local", "--sync-fs"];
const CRI_KEY = "image_pull_with_sync_fs";

/** What makes it durable here, in words. */
export async function containerdSetting(client: ContainerdMode["client"]): Promise<string> {
  return (await findSyncSetting(client))?.text ?? "no such setting: sync -f after it";
}

/** A daemon of its own, started anew for each store. */
export async function containerdPuller(
  folder: string,
  { client, isDurable }: ContainerdMode,
): Promise<Puller> {
  const root = join(folder, "containerd");
  const ctr = requirePeer("ctr");
  const sync = isDurable ? await findSyncSetting(client) : undefined;
  let daemon: ContainerdDaemon | undefined;
  const end = async (): Promise<void> => {
    await daemon?.stop();
    daemon = undefined;
    await clear(root);
  };
  const own = (): readonly string[] => {
    if (daemon === undefined) throw new Error("containerd is not running");
    return ["-a", daemon.socket, "-n", client === "cri" ? "k8s.io" : "bench"];
  };
  const pull = (reference: string): BenchCommand => {
    const { socket = "", pid = 0 } = daemon ?? {};
    if (client === "cri") return { ...criPull(socket, reference, root), daemons: [pid] };
    const args = [...own(), "images", "pull", "--plain-http", ...(sync?.options ?? []), reference];
    return { program: ctr, args, daemons: [pid] };
  };
  return {
    async reset() {
      await end();
      daemon = await startContainerd(root, client === "cri" ? (sync?.config ?? []) : undefined);
    },
    clear: end,
    pull: (reference) =>
      isDurable && sync === undefined ? syncedAfter(pull(reference), folder) : pull(reference),
    async withRoot(reference, look) {
      // What is not unpacked yet, `mount` would unpack.
      const { stdout } = await run(ctr, [...own(), "snapshots", "ls"]);
      if (!stdout.includes("Committed")) throw new Error("containerd has unpacked nothing");
      const target = join(root, "mounted");
      await mkdir(target);
      await run(ctr, [...own(), "images", "mount", reference, target]);
      try {
        return await look(target);
      } finally {
        await run(ctr, [...own(), "images", "unmount", "--rm", target]);
      }
    },
    [Symbol.asyncDispose]: end,
  };
}

async function findSyncSetting(client: ContainerdMode["client"]): Promise<SyncSetting | undefined> {
  if (client === "cri") {
    const { stdout } = await run(requirePeer("containerd"), ["config", "default"]);
    const line = `${CRI_KEY} = true`;
    return stdout.includes(CRI_KEY) ? { text: line, options: [], config: [line] } : undefined;
  }
  const { stdout } = await run(requirePeer("ctr"), ["images", "pull", "--help"]);
  if (!CTR_OPTIONS.every((option) => stdout.includes(option))) return undefined;
  return { text: `ctr ${CTR_OPTIONS.join(" ")}`, options: CTR_OPTIONS, config: [] };
}
