import { constants, lstatSync } from "node:fs";
import { setImmediate } from "node:timers/promises";

import { hasErrorCode } from "@stowage/content";

import { walkTree } from "./linux/walk-tree.ts";

/** Adds up what trees take on the disk, as `du` does: each inode once, however many names it has. */
export interface DiskMeter {
  /**
   * Bytes allocated for a file, or for a directory and all below it, that no earlier call counted.
   * What is missing takes none.
   */
  measure(path: string, signal?: AbortSignal): Promise<number>;
  /** Bytes allocated for a file or a directory itself, without what is below it. */
  measureAlone(path: string): number;
}

/** What counts of a file. */
interface Allocated {
  readonly mode: number;
  readonly nlink: number;
  readonly inode: bigint;
  readonly blocks: bigint;
}

const BLOCK_BYTES = 512;
const { S_IFMT: TYPE_MASK, S_IFDIR: DIRECTORY } = constants;
const ENTRIES_PER_TURN = 1024;

export function createDiskMeter(): DiskMeter {
  const linked = new Set<bigint>();
  const bytesOf = (stat: Allocated): number => {
    const isShared = stat.nlink > 1 && (stat.mode & TYPE_MASK) !== DIRECTORY;
    if (isShared && linked.has(stat.inode)) return 0;
    if (isShared) linked.add(stat.inode);
    return Number(stat.blocks) * BLOCK_BYTES;
  };
  return {
    measureAlone(path) {
      const stat = statOf(path);
      return stat === undefined ? 0 : bytesOf(stat);
    },
    async measure(path, signal) {
      const stat = statOf(path);
      if (stat === undefined) return 0;
      if ((stat.mode & TYPE_MASK) !== DIRECTORY) return bytesOf(stat);
      try {
        return await measureTree(path, bytesOf, signal);
      } catch (error) {
        if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return 0;
        throw error;
      }
    },
  };
}

async function measureTree(
  path: string,
  bytesOf: (stat: Allocated) => number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let bytes = 0;
  let entries = 0;
  for (const { stat } of walkTree(path)) {
    bytes += bytesOf(stat);
    entries += 1;
    if (entries % ENTRIES_PER_TURN !== 0) continue;
    signal?.throwIfAborted();
    await setImmediate();
  }
  signal?.throwIfAborted();
  return bytes;
}

function statOf(path: string): Allocated | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const { mode, nlink, ino: inode, blocks } = stat;
  return { mode: Number(mode), nlink: Number(nlink), inode, blocks };
}
