import {
  changeModeAt,
  changeTimesAt,
  type FileStat,
  statAt,
  timesOf,
} from "../linux/file-metadata.ts";
import { cString } from "../linux/libc.ts";
import {
  changeOwnership,
  type EntryMetadata,
  type OpenDirectory,
  setXattrs,
} from "./entry-metadata.ts";
import { isOwnedBy } from "./file-owner.ts";

/** The mode that new directories get, as most are to have it in the end. */
export const USUAL_MODE = 0o755;

const MODE_BITS = 0o7777;
const ITSELF = cString("");
const DOT = cString(".");

/** What a directory gets that the archive has not. */
export function impliedMetadata(time: bigint): EntryMetadata {
  const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  return { ...owner, mode: USUAL_MODE, atime: time, mtime: time, xattrs: [] };
}

/**
 * Gives the directories of a layer what they are to have, those in others first, and leaves alone what
 * they have already: all were made with the same owner and mode.
 */
export class DirectoryDescriber {
  #asMade: FileStat | undefined;

  describe({ fd, path }: OpenDirectory, metadata: EntryMetadata): void {
    const { mode, xattrs, atime, mtime } = metadata;
    // First, as the rest may let nobody in any more; none of it changes them.
    changeTimesAt(fd, DOT, timesOf(atime, mtime));
    // The root was made by somebody else.
    const now = path === "" ? undefined : (this.#asMade ??= statAt(fd, ITSELF));
    const isOwned = isOwnedBy(now, metadata);
    if (!isOwned) changeOwnership(fd, ITSELF, metadata, path);
    setXattrs(fd, ITSELF, xattrs, path);
    // Access control lists are attributes, which say other modes.
    const isModeSet = isOwned && xattrs.length === 0 && ((now?.mode ?? 0) & MODE_BITS) === mode;
    if (!isModeSet) changeModeAt(fd, DOT, mode);
  }
}
