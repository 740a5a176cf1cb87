import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The programs that tests are held against, and the Debian packages that bring them. */
export const PEERS: Readonly<Record<string, string>> = {
  containerd: "containerd",
  crun: "crun",
  "docker-registry": "docker-registry",
  dockerd: "docker.io",
  // Brings the headers of the C library too, which gcc only recommends.
  gcc: "g++",
  getfattr: "attr",
  gpg: "gnupg",
  htpasswd: "apache2-utils",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.xfs": "xfsprogs",
  nginx: "nginx-light",
  openssl: "openssl",
  podman: "podman",
  python3: "python3",
  runc: "runc",
  setcap: "libcap2-bin",
  skopeo: "skopeo",
  strace: "strace",
  umoci: "umoci",
};

/** The path of a program, also where only root has it on its PATH. */
export function findPeer(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export function hasPeer(name: string): boolean {
  return findPeer(name) !== undefined;
}

/**
 * The path of a program that is needed.
 *
 * @throws Error naming the Debian package that brings it.
 */
export function requirePeer(name: string): string {
  const path = findPeer(name);
  if (path !== undefined) return path;
  throw new Error(`${name} is not installed; on Debian: apt-get install ${PEERS[name] ?? name}`);
}

/**
 * Installs the peers that are missing where that is possible: as root, with apt.
 *
 * @returns the names of those that are missing still.
 */
export async function ensurePeers(
  names: readonly string[] = Object.keys(PEERS),
): Promise<readonly string[]> {
  const missing = names.filter((name) => !hasPeer(name));
  if (missing.length === 0 || process.getuid?.() !== 0 || !hasPeer("apt-get")) return missing;
  const packages = missing.map((name) => PEERS[name] ?? name);
  process.stdout.write(`Installing ${packages.join(", ")}\n`);
  await runApt(["update", "-qq"]);
  await runApt(["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  return names.filter((name) => !hasPeer(name));
}

async function runApt(args: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = spawn("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env });
  const [code] = (await once(apt, "close")) as [number | null];
  // What apt could not do shows in the list of those that are missing still.
  if (code !== 0) process.stdout.write(`apt-get ${args[0]} ended with ${code}\n`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
