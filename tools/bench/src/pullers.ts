/**
 * Whoever can pull an image, each with a store of its own.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { hasPeer } from "@stowage/testkit";

import { type ContainerdMode, containerdPuller, containerdSetting } from "./containerd-puller.ts";
import { cranePuller, orasPuller, umociPuller } from "./file-pullers.ts";
import { type BenchCommand, commandOf, type ProgramWords } from "./measure-process.ts";
import { podmanPuller, podmanSetting } from "./podman-puller.ts";
import type { Peer, PullerFactory } from "./puller.ts";
import { clear } from "./stage.ts";

const run = promisify(execFile);

/** Makes commands of Stowage's, over a store in a folder. */
export function stowageCommands(
  main: ProgramWords,
  folder: string,
  policy: string,
): (...args: readonly string[]) => BenchCommand {
  const root = stowageRoot(folder);
  const own = ["--root", root, "--run-root", `${root}-run`, "--policy", policy, "--quiet"];
  return (...args) => commandOf(main, ...own, ...args);
}

/** Where that store is. */
export function stowageRoot(folder: string): string {
  return join(folder, "stowage");
}

/** Stowage, by its command line. */
export function stowagePuller(main: ProgramWords): PullerFactory {
  return async (folder, policy) => {
    const command = stowageCommands(main, folder, policy);
    const call = async (...words: readonly string[]): Promise<string> => {
      const { program, args } = command(...words);
      return (await run(program, args)).stdout.trim();
    };
    const end = async (): Promise<void> => {
      await clear(stowageRoot(folder));
      await clear(`${stowageRoot(folder)}-run`);
    };
    return {
      reset: end,
      clear: end,
      pull: (reference) => command("pull", "--tls-verify=false", reference),
      async withRoot(reference, look) {
        const root = await call("mount", reference);
        try {
          return await look(root);
        } finally {
          await call("umount", reference);
        }
      },
      [Symbol.asyncDispose]: end,
    };
  };
}

/** The others, by the names that they are asked for with. */
export const PEERS_TO_COMPARE: Readonly<Record<string, Peer>> = {
  containerd: containerd({ client: "ctr", isDurable: false }),
  "containerd-durable": containerd({ client: "ctr", isDurable: true }),
  "containerd-cri": containerd({ client: "cri", isDurable: false }),
  "containerd-cri-durable": containerd({ client: "cri", isDurable: true }),
  podman: { programs: ["podman"], create: (folder, policy) => podmanPuller(folder, policy) },
  "podman-durable": {
    programs: ["podman"],
    places: ["disk"],
    setting: podmanSetting,
    create: (folder, policy) => podmanPuller(folder, policy, true),
  },
  "skopeo+umoci": { programs: ["skopeo", "umoci"], create: umociPuller },
  "crane+tar": { programs: ["crane", "tar"], create: cranePuller },
  "oras+umoci": { programs: ["oras", "umoci"], create: orasPuller },
};

function containerd(mode: ContainerdMode): Peer {
  const { client, isDurable } = mode;
  return {
    programs: ["containerd", "ctr", ...(client === "cri" ? ["curl"] : [])],
    ...(isDurable && { places: ["disk"], setting: () => containerdSetting(client) }),
    create: (folder) => containerdPuller(folder, mode),
  };
}

/** Which of them are installed. */
export function installedPeers(): readonly string[] {
  return Object.keys(PEERS_TO_COMPARE).filter((name) => missingFor(name).length === 0);
}

/** Which programs a peer would need that are not on the PATH. */
export function missingFor(name: string): readonly string[] {
  return PEERS_TO_COMPARE[name]?.programs.filter((program) => !hasPeer(program)) ?? [];
}
