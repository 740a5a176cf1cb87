import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { findPeer, requirePeer } from "@stowage/testkit";

const run = promisify(execFile);
const BYTES = 32 * 1024 ** 3;

/** Whether there can be a file system of its own here. */
export function canMakeFreshDisk(): boolean {
  const isAble = process.getuid?.() === 0 && existsSync("/dev/loop-control");
  return isAble && findPeer("mkfs.ext4") !== undefined;
}

/**
 * A new ext4 in a file below a folder, mounted; it goes with its scope.
 *
 * Where thousands of files have been removed within minutes, ext4 looks at each of their inodes
 * again and again before it gives a new file one, so that GNU tar takes eight times as long there:
 * all that is measured would be what was removed before.
 */
export async function makeFreshDisk(
  folder: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const place = await mkdtemp(join(folder, "stowage-bench-disk-"));
  const [file, path] = [join(place, "ext4"), join(place, "mounted")];
  try {
    await mkdir(path);
    await writeFile(file, "");
    await truncate(file, BYTES);
    await run(requirePeer("mkfs.ext4"), ["-q", "-F", file]);
    await run("mount", ["-o", "loop", file, path]);
  } catch (error) {
    await rm(place, { recursive: true });
    throw error;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run("umount", ["--recursive", path]);
      await rm(place, { recursive: true });
    },
  };
}
