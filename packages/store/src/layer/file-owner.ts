import type { FileStat } from "../linux/file-metadata.ts";
import { overflowOwner } from "../linux/overflow-owner.ts";

/** Whom a file belongs to. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whether a file is known to belong to them. All IDs that the user namespace of this process does not
 * have are shown as one: of a file that shows that one, nobody can tell.
 */
export function isOwnedBy(stat: FileStat | undefined, { uid, gid }: FileOwner): boolean {
  if (stat?.uid !== uid || stat.gid !== gid) return false;
  const overflow = overflowOwner();
  return uid !== overflow.uid && gid !== overflow.gid;
}
