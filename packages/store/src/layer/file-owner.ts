import { readFileSync } from "node:fs";

import type { FileStat } from "../linux/file-metadata.ts";

/** Whom a file belongs to. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

const HIGHEST_SHORT_ID = 65_534;

let overflow: FileOwner | undefined;

/**
 * Whether a file is known to belong to them. All IDs that the user namespace of this process does not
 * have are shown as one: of a file that shows that one, nobody can tell.
 */
export function isOwnedBy(stat: FileStat | undefined, { uid, gid }: FileOwner): boolean {
  if (stat?.uid !== uid || stat.gid !== gid) return false;
  overflow ??= { uid: readOverflowID("overflowuid"), gid: readOverflowID("overflowgid") };
  return uid !== overflow.uid && gid !== overflow.gid;
}

function readOverflowID(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/kernel/${name}`, "latin1"));
  } catch {
    // Where it can not be read it is what all kernels begin with.
    return HIGHEST_SHORT_ID;
  }
}
