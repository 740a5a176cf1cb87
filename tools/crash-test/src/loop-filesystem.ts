/**
 * File systems in files, whose devices can be copied at any moment: what is in a copy is what a power
 * cut at that moment would have left.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

import { findPeer, requirePeer } from "@stowage/testkit";

const run = promisify(execFile);

/** A kind of file system, and how it is mounted. */
export interface FilesystemKind {
  readonly name: string;
  /** The program that makes it, and its arguments. */
  readonly make: readonly [program: string, ...args: string[]];
  readonly type: string;
  readonly options: string;
  readonly bytes: number;
}

const MIB = 1024 * 1024;

/**
 * The second syncs nothing of its own accord when a file is replaced, which hides missing syncs
 * elsewhere. What is committed by the clock alone would hide them too.
 */
export const FILESYSTEMS: readonly FilesystemKind[] = [
  {
    name: "ext4",
    make: ["mkfs.ext4", "-q", "-F"],
    type: "ext4",
    options: "commit=300",
    bytes: 64 * MIB,
  },
  {
    name: "ext4 noauto_da_alloc",
    make: ["mkfs.ext4", "-q", "-F"],
    type: "ext4",
    options: "commit=300,noauto_da_alloc",
    bytes: 64 * MIB,
  },
  { name: "xfs", make: ["mkfs.xfs", "-q"], type: "xfs", options: "nouuid", bytes: 320 * MIB },
  {
    name: "btrfs",
    make: ["mkfs.btrfs", "-q"],
    type: "btrfs",
    options: "commit=300",
    bytes: 128 * MIB,
  },
];

/** Why the power can not be cut here, for the name of a test; empty where it can. */
export function whatFilesystemNeeds({ make }: FilesystemKind): string {
  if (process.getuid?.() !== 0) return "root";
  if (!existsSync("/dev/loop-control")) return "loop devices";
  return findPeer(make[0]) === undefined ? make[0] : "";
}

/** A mounted file system; it ends with its scope. */
export interface LoopFilesystem extends AsyncDisposable {
  /** How much has been written to the device: while it is the same, so is what is on it. */
  writes(): Promise<string>;
  /** Copies the device as it is. */
  copyTo(path: string): Promise<void>;
}

/** Makes a file with an empty file system. */
export async function makeFilesystem(file: string, kind: FilesystemKind): Promise<void> {
  await writeFile(file, "");
  await truncate(file, kind.bytes);
  const [program, ...args] = kind.make;
  await run(requirePeer(program), [...args, file]);
}

/** Mounts a file, as after a boot: with what its journal has left to do. */
export async function mountFilesystem(
  file: string,
  kind: FilesystemKind,
  mountPoint: string,
): Promise<LoopFilesystem> {
  await mkdir(mountPoint, { recursive: true });
  const { stdout } = await run(requirePeer("losetup"), ["--find", "--show", file]);
  const device = stdout.trim();
  try {
    await run("mount", ["-t", kind.type, "-o", kind.options, device, mountPoint]);
  } catch (error) {
    await run(requirePeer("losetup"), ["-d", device]);
    throw error;
  }
  return {
    async writes() {
      for (;;) {
        const fields = (await readFile(`/sys/block/${basename(device)}/stat`, "utf8"))
          .trim()
          .split(/\s+/);
        if (fields[8] === "0") return `${fields[4]} ${fields[6]} ${fields[11]}`;
        await delay(1);
      }
    },
    async copyTo(path) {
      await run("cp", ["--sparse=always", "--", file, path]);
    },
    async [Symbol.asyncDispose]() {
      await run("umount", [mountPoint]).catch(() => run("umount", ["-l", mountPoint]));
      await run(requirePeer("losetup"), ["-d", device]);
    },
  };
}
