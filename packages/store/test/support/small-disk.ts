import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const HAS_EXT4 = spawnSync("mkfs.ext4", ["-V"]).status === 0;

/** A small file system, and a store on it; the run root lies elsewhere. */
export interface Disk extends Disposable {
  readonly path: string;
  readonly root: string;
  readonly runRoot: string;
}

/** Unmounts it when it is disposed of. */
export function makeDisk(mount: (path: string) => void): Disk {
  const path = mkdtempSync(join(tmpdir(), "stowage-disk-"));
  const disk = join(path, "disk");
  mkdirSync(disk);
  mount(disk);
  return {
    path: disk,
    root: join(disk, "root"),
    runRoot: join(path, "run"),
    [Symbol.dispose]() {
      spawnSync("umount", ["-R", "-l", disk]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

export function mountTmpfs(path: string, more = "nr_inodes=4096"): void {
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=8m,${more}`, "none", path]);
  if (mounted.status !== 0) throw new Error(String(mounted.stderr));
}

export function mountExt4(path: string): void {
  const file = `${path}.img`;
  const command = `truncate -s 16M "$1" && mkfs.ext4 -q -m 0 "$1" && mount -o loop "$1" "$2"`;
  const mounted = spawnSync("sh", ["-ec", command, "sh", file, path]);
  if (mounted.status !== 0) throw new Error(String(mounted.stderr));
}
