/**
 * Whoever can pull an image, each with a store of its own.
 *
 * @module
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { hasPeer, requirePeer } from "@stowage/testkit";

import type { BenchCommand } from "./measure-process.ts";
import { clear } from "./stage.ts";

const run = promisify(execFile);
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** One way to pull an image, until it can be mounted. */
export interface Puller extends AsyncDisposable {
  /** Gives it an empty store. */
  reset(): Promise<void>;
  pull(reference: string): BenchCommand;
}

/** Makes a puller whose store lies in a folder. */
export type PullerFactory = (folder: string, policy: string) => Puller;

/** Stowage, with Node's arguments for its command line. */
export function stowagePuller(main: readonly string[]): PullerFactory {
  return (folder, policy) => {
    const root = join(folder, "stowage");
    const own = ["--root", root, "--run-root", `${root}-run`, "--policy", policy, "--quiet"];
    const reset = async (): Promise<void> => {
      await clear(root);
      await clear(`${root}-run`);
    };
    return {
      reset,
      pull: (reference) => ({
        program: process.execPath,
        args: [...main, ...own, "pull", "--tls-verify=false", reference],
      }),
      [Symbol.asyncDispose]: reset,
    };
  };
}

/** The others, by the names that they are asked for with. */
export const PEER_PULLERS: Readonly<Record<string, PullerFactory>> = {
  containerd: containerdPuller,
  podman: podmanPuller,
  "skopeo+umoci": umociPuller,
};

/** Which of them are installed. */
export function installedPullers(): readonly string[] {
  const programs: Readonly<Record<string, readonly string[]>> = {
    containerd: ["containerd", "ctr"],
    podman: ["podman"],
    "skopeo+umoci": ["skopeo", "umoci"],
  };
  return Object.keys(PEER_PULLERS).filter((name) => programs[name]?.every(hasPeer));
}

/** A daemon of its own, started anew for each store. */
function containerdPuller(folder: string): Puller {
  const root = join(folder, "containerd");
  const socket = join(root, "socket");
  let stop = async (): Promise<void> => {};
  let pid = 0;
  const end = async (): Promise<void> => {
    await stop();
    await clear(root);
  };
  return {
    async reset() {
      await end();
      await run("mkdir", ["-p", root]);
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
      pid = daemon.pid ?? 0;
      stop = async () => {
        daemon.kill("SIGTERM");
        await ended;
        stop = async () => {};
      };
      for (const since = Date.now(); !existsSync(socket); await sleep(LOOK_EVERY_MS)) {
        if (daemon.exitCode !== null || Date.now() - since > PATIENCE_MS)
          throw new Error("containerd did not start");
      }
      await run(requirePeer("ctr"), ["--address", socket, "version"]);
    },
    pull: (reference) => ({
      program: requirePeer("ctr"),
      args: ["-a", socket, "-n", "bench", "images", "pull", "--plain-http", reference],
      daemons: [pid],
    }),
    [Symbol.asyncDispose]: end,
  };
}

function podmanPuller(folder: string, policy: string): Puller {
  const root = join(folder, "podman");
  const reset = async (): Promise<void> => {
    // It mounts the directory of its layers on itself.
    await run("umount", [join(root, "root", "overlay")]).catch(() => {});
    await clear(root);
    await run("mkdir", ["-p", root]);
  };
  const own = ["--root", join(root, "root"), "--runroot", join(root, "run")];
  const rest = ["--tmpdir", join(root, "tmp"), "--storage-driver", "overlay"];
  return {
    reset,
    pull: (reference) => ({
      program: requirePeer("podman"),
      args: [
        ...own,
        ...rest,
        "pull",
        "--quiet",
        "--tls-verify=false",
        "--signature-policy",
        policy,
        reference,
      ],
      // Large files on their way are kept where temporary files are.
      env: { TMPDIR: root },
    }),
    async [Symbol.asyncDispose]() {
      await reset();
      await clear(root);
    },
  };
}

function umociPuller(folder: string): Puller {
  const root = join(folder, "umoci");
  const script = [
    '"$1" --insecure-policy copy --quiet --src-tls-verify=false "docker://$3" "oci:$4/image:it"',
    '"$2" unpack --image "$4/image:it" "$4/bundle"',
  ].join(" && ");
  return {
    async reset() {
      await clear(root);
      await run("mkdir", ["-p", root]);
    },
    pull: (reference) => ({
      program: "sh",
      args: ["-c", script, "sh", requirePeer("skopeo"), requirePeer("umoci"), reference, root],
    }),
    [Symbol.asyncDispose]: () => clear(root),
  };
}
