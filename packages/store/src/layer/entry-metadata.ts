/**
 * What overlayfs and the archive want to be known about the files of a layer.
 *
 * @module
 */
import {
  changeModeAt,
  changeOwnerAt,
  changeTimesAt,
  FILE_TYPE,
  type FileStat,
  timesOf,
} from "../linux/file-metadata.ts";
import { cString } from "../linux/libc.ts";
import { trySetXattrAt } from "../linux/xattr.ts";
import { entryError, failedWith, invalidEntry } from "./layer-error.ts";
import { isXattrAllowed } from "./layer-xattr.ts";
import type { ArchiveXattr } from "./pax-header.ts";

/** An open directory of the layer. */
export interface OpenDirectory {
  readonly fd: number;
  /** Its path below the root, free of links; one character for each byte. */
  readonly path: string;
}

/** What an archive says of an entry. */
export interface EntryMetadata {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly xattrs: readonly ArchiveXattr[];
}

let privileged: boolean | undefined;

const ITSELF = cString("");
const OPAQUE_XATTRS = ["trusted.overlay.opaque", "user.overlay.opaque"];
const OPAQUE_VALUE = Buffer.from("y");

/** A name as the calls take it, from one character for each byte. */
export function nameBytes(name: string): Buffer {
  return Buffer.from(`${name}\0`, "latin1");
}

/** Whether a name is the mark that hides a name of the layers below. */
export function isWhiteout(stat: FileStat | undefined): boolean {
  return (
    stat !== undefined &&
    (stat.mode & FILE_TYPE.mask) === FILE_TYPE.characterDevice &&
    stat.deviceMajor === 0 &&
    stat.deviceMinor === 0
  );
}

/** Gives a name, which is no symbolic link, what an archive says of it. */
export function describeEntry(
  fd: number,
  name: string,
  metadata: EntryMetadata,
  path: string,
  isSameOwner = false,
): void {
  const bytes = nameBytes(name);
  if (!isSameOwner) changeOwnership(fd, bytes, metadata, path);
  setXattrs(fd, bytes, metadata.xattrs.filter(isXattrAllowed), path);
  changeModeAt(fd, bytes, metadata.mode);
  changeTimesAt(fd, bytes, timesOf(metadata.atime, metadata.mtime));
}

/** Sets attributes that have been allowed; file systems and types that have none are passed over. */
export function setXattrs(
  fd: number,
  name: Uint8Array,
  xattrs: readonly ArchiveXattr[],
  path: string,
): void {
  for (const xattr of xattrs) {
    const attribute = Buffer.from(xattr.name, "latin1");
    const result = trySetXattrAt(fd, name, attribute, xattr.value);
    if (result === 0 || failedWith(result, "EOPNOTSUPP")) continue;
    if (failedWith(result, "EPERM") && !(isPrivileged() && xattr.name.startsWith("security."))) {
      continue;
    }
    throw entryError("lsetxattr", path, -result);
  }
}

/** Gives a name to its owner, which only root can do; for others it stays theirs. */
export function changeOwnership(
  fd: number,
  name: Uint8Array,
  owner: { readonly uid: number; readonly gid: number },
  path: string,
): void {
  if (!isPrivileged()) return;
  try {
    changeOwnerAt(fd, name, owner.uid, owner.gid);
  } catch (cause) {
    throw invalidEntry(path, `owner ${owner.uid}:${owner.gid}: ${String(cause)}`);
  }
}

/** Whether this process may give files away. */
export function isPrivileged(): boolean {
  return (privileged ??= process.geteuid?.() === 0);
}

/** Makes a directory show nothing of the layers below. */
export function makeOpaque(directory: OpenDirectory): void {
  for (const [index, attribute] of OPAQUE_XATTRS.entries()) {
    const result = trySetXattrAt(directory.fd, ITSELF, attribute, OPAQUE_VALUE);
    if (result === 0) return;
    const isLast = index === OPAQUE_XATTRS.length - 1;
    if (isLast || !failedWith(result, "EPERM")) {
      throw entryError("lsetxattr", directory.path, -result);
    }
  }
}
