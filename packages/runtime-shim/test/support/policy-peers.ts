import { execFile } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import type { SigningWorld } from "./signing-world.ts";

/** What a policy came to: `invalid` if it is none, `unknown` if the peer was built without sigstore. */
export type PolicyOutcome = "allowed" | "invalid" | "rejected" | "unknown";

/** Asks a policy in a file about an image in a registry. */
export type PolicyPeer = (policy: string, name: string) => Promise<PolicyOutcome>;

const run = promisify(execFile);

/** Skopeo, which copies the image away. */
export function skopeoPeer(world: SigningWorld): PolicyPeer {
  const registriesD = join(world.path, "registries.d");
  return async (policy, name) =>
    await outcomeOf(async () => {
      const how = ["--policy", policy, "--registries.d", registriesD];
      const copy = ["copy", "-q", "--src-tls-verify=false", "--remove-signatures"];
      await world.skopeo(...how, ...copy, `docker://${name}`, `dir:${join(world.path, "copied")}`);
    });
}

/** Skopeo, asked about a location as it writes them. */
export function skopeoFilePeer(world: SigningWorld): PolicyPeer {
  return async (policy, location) =>
    await outcomeOf(async () => {
      const copy = ["copy", "-q", "--remove-signatures"];
      const to = `dir:${join(world.path, "copied")}`;
      await world.skopeo("--policy", policy, ...copy, location, to);
    });
}

/** Podman, with stores and a home of its own, which pulls the image. */
export async function podmanPeer(world: SigningWorld): Promise<PolicyPeer> {
  const home = join(world.path, "podman");
  await mkdir(join(home, ".config/containers"), { recursive: true });
  // It has no option for it.
  await symlink(join(world.path, "registries.d"), join(home, ".config/containers/registries.d"));
  const storage = [
    `--root=${join(home, "root")}`,
    `--runroot=${join(home, "run")}`,
    `--tmpdir=${join(home, "tmp")}`,
    "--storage-driver=vfs",
    "--cgroup-manager=cgroupfs",
    "--events-backend=none",
  ];
  const env = { ...process.env, HOME: home, GNUPGHOME: world.keyring.path };
  return async (policy, name) =>
    await outcomeOf(async () => {
      const pull = ["pull", "-q", "--tls-verify=false", `--signature-policy=${policy}`, name];
      await run("podman", [...storage, ...pull], { env });
    });
}

async function outcomeOf(ask: () => Promise<void>): Promise<PolicyOutcome> {
  try {
    await ask();
    return "allowed";
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    if (stderr?.includes("sigstore disabled")) return "unknown";
    if (stderr?.includes("Source image rejected")) return "rejected";
    if (stderr?.includes("invalid policy in")) return "invalid";
    throw error;
  }
}
