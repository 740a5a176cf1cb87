/**
 * What overlayfs and the archive want to be known about the files of a layer.
 *
 * @module
 */
import type { StoreError } from "../store-error.ts";
import {
  changeModeAt,
  changeTimesAt,
  FILE_TYPE,
  type FileStat,
  timesOf,
  tryChangeOwner,
  tryChangeOwnerAt,
} from "../linux/file-metadata.ts";
import { tryMakeNodeAt } from "../linux/file-calls.ts";
import { cString } from "../linux/libc.ts";
import { getXattrAt, removeXattrAt, trySetXattr, trySetXattrAt } from "../linux/xattr.ts";
import type { FileOwner } from "./file-owner.ts";
import { entryError, failedWith, invalidEntry } from "./layer-error.ts";
import { ACLS, isXattrAllowed } from "./layer-xattr.ts";
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

/** Makes the mark that hides a name of the layers below; answers 0 or the negated error number. */
export function tryMakeWhiteout(fd: number, name: string): number {
  return tryMakeNodeAt(fd, nameBytes(name), FILE_TYPE.characterDevice, 0, 0);
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
    checkXattrSet(trySetXattrAt(fd, name, attribute, xattr.value), xattr, path);
  }
}

/** As {@link setXattrs}, for a file that is open for writing. */
export function setFileXattrs(fd: number, xattrs: readonly ArchiveXattr[], path: string): void {
  for (const xattr of xattrs) {
    const attribute = Buffer.from(xattr.name, "latin1");
    checkXattrSet(trySetXattr(fd, attribute, xattr.value), xattr, path);
  }
}

/** Gives a name to its owner, which only root can do; for others it stays theirs. */
export function changeOwnership(
  fd: number,
  name: Uint8Array,
  owner: FileOwner,
  path: string,
): void {
  if (!isPrivileged()) return;
  const result = tryChangeOwnerAt(fd, name, owner.uid, owner.gid);
  if (result < 0) throw ownerError(result, owner, path);
}

/** As {@link changeOwnership}, for an open file. */
export function changeFileOwnership(fd: number, owner: FileOwner, pathOf: () => string): void {
  if (!isPrivileged()) return;
  const result = tryChangeOwner(fd, owner.uid, owner.gid);
  if (result < 0) throw ownerError(result, owner, pathOf());
}

function checkXattrSet(result: number, xattr: ArchiveXattr, path: string): void {
  if (result === 0 || failedWith(result, "EOPNOTSUPP")) return;
  // The kernel has user attributes on files and directories only; a user namespace may lack others.
  if (failedWith(result, "EPERM")) return;
  throw entryError(`setxattr ${xattr.name}`, path, -result);
}

/** An ID that the user namespace of this process does not have is one that the layer must not. */
function ownerError(result: number, { uid, gid }: FileOwner, path: string): StoreError {
  if (!failedWith(result, "EINVAL")) return entryError("chown", path, -result);
  return invalidEntry(path, `owner ${uid}:${gid} is not in the ID map of this process`);
}

/** Whether this process may give files away. */
export function isPrivileged(): boolean {
  return (privileged ??= process.geteuid?.() === 0);
}

/** Takes from an empty directory the access lists that its place has handed down to it. */
export function dropAccessLists({ fd }: OpenDirectory): void {
  for (const name of ACLS) {
    if (getXattrAt(fd, ITSELF, name) !== undefined) removeXattrAt(fd, ITSELF, name);
  }
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
