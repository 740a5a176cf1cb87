import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const UNIFIED = "/sys/fs/cgroup/unified";

/** Whether this host has both versions of cgroups in use, which crun refuses. */
export const HYBRID_CGROUPS: boolean = existsSync(`${UNIFIED}/cgroup.controllers`);

/** How a Node script ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a TypeScript file in a mount namespace of its own where cgroups v2 is not mounted beside v1,
 * so that crun works on any host.
 */
export function runWhereCrunWorks(script: string, ...args: readonly string[]): Ended {
  const node = [process.execPath, "--conditions=@stowage/source", script, ...args];
  const command = HYBRID_CGROUPS
    ? ["unshare", "--mount", "sh", "-c", `umount ${UNIFIED} && exec "$@"`, "sh", ...node]
    : node;
  const [file = "", ...rest] = command;
  const { status, stdout, stderr } = spawnSync(file, rest, { encoding: "utf8" });
  return { status, stdout, stderr };
}

/** Whether a program is installed where runtimes are. */
export function isInstalled(name: string): boolean {
  return ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].some((dir) => existsSync(`${dir}/${name}`));
}
