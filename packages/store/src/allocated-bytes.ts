import { setImmediate } from "node:timers/promises";

import { hasErrorCode } from "@stowage/content";

import { FILE_TYPE, type FileStat, statPath } from "./linux/file-metadata.ts";
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

const BLOCK_BYTES = 512;
const ENTRIES_PER_TURN = 1024;

export function createDiskMeter(): DiskMeter {
  const linked = new Set<bigint>();
  const bytesOf = (stat: FileStat): number => {
    const isShared = stat.nlink > 1 && !isDirectory(stat);
    if (isShared && linked.has(stat.inode)) return 0;
    if (isShared) linked.add(stat.inode);
    return Number(stat.blocks) * BLOCK_BYTES;
  };
  return {
    measureAlone(path) {
      const stat = statPath(path);
      return stat === undefined ? 0 : bytesOf(stat);
    },
    async measure(path, signal) {
      const stat = statPath(path);
      if (stat === undefined) return 0;
      if (!isDirectory(stat)) return bytesOf(stat);
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
  bytesOf: (stat: FileStat) => number,
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

function isDirectory(stat: FileStat): boolean {
  return (stat.mode & FILE_TYPE.mask) === FILE_TYPE.directory;
}
