import { execFile } from "node:child_process";
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { requirePeer } from "@stowage/testkit";

import { type Puller, syncedAfter } from "./puller.ts";
import { clear } from "./stage.ts";

const run = promisify(execFile);

/** How its storage is told to sync layers (container-libs, late in 2025). */
const SYNC_OPTIONS = ["--storage-opt", "overlay.sync=filesystem"];

/** What makes it durable here. */
export async function podmanSetting(): Promise<string> {
  return (await canSync()) ? SYNC_OPTIONS.join(" ") : "no such setting: sync -f after it";
}

/** Its storage driver is overlay by name, whatever the host's configuration says. */
export async function podmanPuller(
  folder: string,
  policy: string,
  isDurable = false,
): Promise<Puller> {
  const root = join(folder, "podman");
  const podman = requirePeer("podman");
  const syncs = isDurable && (await canSync());
  const own = [...storeOptions(root), ...(syncs ? SYNC_OPTIONS : [])];
  const end = async (): Promise<void> => {
    await unmountLayers(root);
    await clear(root);
  };
  return {
    async reset() {
      await end();
      await mkdir(root, { recursive: true });
    },
    clear: end,
    pull(reference) {
      const options = ["--quiet", "--tls-verify=false", "--signature-policy", policy];
      // Large files on their way are kept where temporary files are.
      const env = { TMPDIR: root };
      const command = { program: podman, args: [...own, "pull", ...options, reference], env };
      return isDurable && !syncs ? syncedAfter(command, folder) : command;
    },
    async withRoot(reference, look) {
      const { stdout } = await run(podman, [...own, "image", "mount", reference]);
      try {
        return await look(stdout.trim());
      } finally {
        await run(podman, [...own, "image", "unmount", reference]);
      }
    },
    [Symbol.asyncDispose]: end,
  };
}

async function canSync(): Promise<boolean> {
  const root = await mkdtemp(join(tmpdir(), "stowage-bench-"));
  try {
    await run(requirePeer("podman"), [...storeOptions(root), ...SYNC_OPTIONS, "images"]);
    return true;
  } catch {
    return false;
  } finally {
    await unmountLayers(root);
    await clear(root);
  }
}

function storeOptions(root: string): readonly string[] {
  const places = ["--root", join(root, "root"), "--runroot", join(root, "run")];
  return [...places, "--tmpdir", join(root, "tmp"), "--storage-driver", "overlay"];
}

/** It mounts the directory of its layers on itself. */
async function unmountLayers(root: string): Promise<void> {
  await run("umount", [join(root, "root", "overlay")]).catch(() => {});
}
