/**
 * Whole directory trees, by descriptors: as deep as they may be, and never across a mount.
 *
 * @module
 */
import { fchmodSync, opendirSync } from "node:fs";
import { dirname, basename } from "node:path";
import { setImmediate } from "node:timers/promises";

import {
  AT_CWD,
  closeDescriptor,
  OPEN,
  RESOLVE,
  tryOpenBeneath,
  tryRemoveDirectoryAt,
  tryRenameAt,
  tryUnlinkAt,
} from "./file-calls.ts";
import {
  changeModeAt,
  changeOwnerAt,
  changeTimesAt,
  FILE_TYPE,
  statAt,
  timesOf,
} from "./file-metadata.ts";
import { cString, errnoOf, systemError } from "./libc.ts";
import { getXattrAt, listXattrsAt, removeXattrAt, trySetXattrAt } from "./xattr.ts";

const REMOVALS_PER_TURN = 256;
const MAX_OPEN_LEVELS = 64;
const MAX_PASSES = 64;
const NOTHING = cString("");

/**
 * Removes a file or a tree, and lets other work of this thread go on meanwhile. What is missing is
 * removed already.
 *
 * @throws {@link SystemError} `EXDEV` or `EBUSY` when something is mounted inside; the rest may be
 *   gone then.
 */
export async function removeTree(path: string): Promise<void> {
  const parent = tryOpenBeneath(
    AT_CWD,
    cString(dirname(path)),
    OPEN.path | OPEN.directory,
    RESOLVE.noMagicLinks,
  );
  if (parent === -errnoOf("ENOENT")) return;
  if (parent < 0) throw systemError("openat2", dirname(path), -parent);
  try {
    let count = 0;
    for (const _ of removeStepwise(parent, cString(basename(path)))) {
      count += 1;
      if (count % REMOVALS_PER_TURN === 0) await setImmediate();
    }
  } finally {
    closeDescriptor(parent);
  }
}

/** Removes a name in an open directory, and all below it, before it returns. */
export function removeTreeAt(fd: number, name: Uint8Array): void {
  for (const _ of removeStepwise(fd, name));
}

/**
 * Gives a directory the mode, owner, times and extended attributes that it has in another tree.
 *
 * @param path - From the root of either tree, as bytes; empty for the roots themselves.
 * @returns Whether the other tree has such a directory; nothing is changed where it has none.
 */
export function copyDirectoryMetadata(fromRoot: string, toRoot: string, path: Uint8Array): boolean {
  const from = openDirectory(fromRoot, path);
  if (from === undefined) return false;
  try {
    const to = openDirectory(toRoot, path);
    if (to === undefined) return false;
    try {
      copyBetween(from, to);
      return true;
    } finally {
      closeDescriptor(to);
    }
  } finally {
    closeDescriptor(from);
  }
}

function copyBetween(from: number, to: number): void {
  const stat = statAt(from, NOTHING);
  if (stat === undefined) return;
  changeOwnerAt(to, NOTHING, stat.uid, stat.gid);
  const attributes = listXattrsAt(from, NOTHING).filter(isInherited);
  for (const attribute of listXattrsAt(to, NOTHING).filter(isInherited)) {
    if (!attributes.some((kept) => kept.equals(attribute))) removeXattrAt(to, NOTHING, attribute);
  }
  for (const attribute of attributes) {
    const value = getXattrAt(from, NOTHING, attribute);
    const result = value === undefined ? 0 : trySetXattrAt(to, NOTHING, attribute, value);
    if (result < 0) throw systemError("lsetxattr", attribute, -result);
  }
  changeModeAt(to, cString("."), stat.mode & 0o7777);
  changeTimesAt(to, cString("."), timesOf(stat.atime, stat.mtime));
}

function isInherited(attribute: Buffer): boolean {
  const name = attribute.toString("latin1");
  return !name.startsWith("trusted.overlay.") && !name.startsWith("user.overlay.");
}

function openDirectory(root: string, path: Uint8Array): number | undefined {
  const rootFd = tryOpenBeneath(AT_CWD, cString(root), OPEN.path | OPEN.directory, 0);
  if (rootFd < 0) throw systemError("openat2", root, -rootFd);
  if (path.length === 0) return rootFd;
  const flags = OPEN.path | OPEN.directory;
  const resolve = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noXdev;
  const fd = tryOpenBeneath(rootFd, cString(path), flags, resolve);
  closeDescriptor(rootFd);
  if (fd >= 0) return fd;
  if ([errnoOf("ENOENT"), errnoOf("ENOTDIR"), errnoOf("ELOOP")].includes(-fd)) return undefined;
  throw systemError("openat2", path, -fd);
}

/** Yields after each removal. Trees that are too deep to hold open are moved up and removed there. */
function* removeStepwise(parent: number, name: Uint8Array): Generator<void, void, undefined> {
  const stat = statAt(parent, name);
  if (stat === undefined) return;
  if ((stat.mode & FILE_TYPE.mask) !== FILE_TYPE.directory) {
    removed(tryUnlinkAt(parent, name), name);
    return;
  }
  const top = openForRemoval(parent, name);
  const moved = { next: 0 };
  try {
    yield* emptyDirectory(top, top, 1, moved);
  } finally {
    closeDescriptor(top);
  }
  removed(tryRemoveDirectoryAt(parent, name), name);
}

function* emptyDirectory(
  top: number,
  fd: number,
  level: number,
  moved: { next: number },
): Generator<void, void, undefined> {
  // The top also gets what is moved up from below, so there is no saying how often.
  const passes = level === 1 ? Infinity : MAX_PASSES;
  for (let pass = 0; pass < passes; pass += 1) {
    let found = false;
    const directory = opendirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" as "utf8" });
    try {
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
        found = true;
        yield* removeEntry(top, fd, cString(entry.name), level, moved);
        yield;
      }
    } finally {
      directory.closeSync();
    }
    if (!found) return;
  }
}

function* removeEntry(
  top: number,
  fd: number,
  name: Uint8Array,
  level: number,
  moved: { next: number },
): Generator<void, void, undefined> {
  let unlinked = tryUnlinkAt(fd, name);
  if (unlinked === -errnoOf("EACCES")) {
    fchmodSync(fd, 0o700);
    unlinked = tryUnlinkAt(fd, name);
  }
  if (unlinked !== -errnoOf("EISDIR") && unlinked !== -errnoOf("EPERM")) {
    removed(unlinked, name);
    return;
  }
  const emptied = tryRemoveDirectoryAt(fd, name);
  if (emptied === 0 || emptied === -errnoOf("ENOENT")) return;
  if (emptied !== -errnoOf("ENOTEMPTY") && emptied !== -errnoOf("EACCES")) removed(emptied, name);
  if (level >= MAX_OPEN_LEVELS) {
    moveUp(top, fd, name, moved);
    return;
  }
  const child = openForRemoval(fd, name);
  try {
    yield* emptyDirectory(top, child, level + 1, moved);
  } finally {
    closeDescriptor(child);
  }
  removed(tryRemoveDirectoryAt(fd, name), name);
}

function moveUp(top: number, fd: number, name: Uint8Array, moved: { next: number }): void {
  for (;;) {
    moved.next += 1;
    const newName = cString(`.moved-up-${moved.next}`);
    let result = tryRenameAt(fd, name, top, newName);
    if (result === -errnoOf("EACCES")) {
      // A directory that moves has a new `..`, for which it must be writable itself.
      changeModeAt(fd, name, 0o700);
      result = tryRenameAt(fd, name, top, newName);
    }
    if (result === -errnoOf("EEXIST")) continue;
    if (result < 0) throw systemError("renameat2", name.subarray(0, -1), -result);
    return;
  }
}

function openForRemoval(fd: number, name: Uint8Array): number {
  const open = (): number =>
    tryOpenBeneath(
      fd,
      name,
      OPEN.directory | OPEN.noFollow,
      RESOLVE.beneath | RESOLVE.noXdev | RESOLVE.noSymlinks,
    );
  let child = open();
  if (child === -errnoOf("EACCES")) {
    changeModeAt(fd, name, 0o700);
    child = open();
  }
  if (child < 0) throw systemError("openat2", name.subarray(0, -1), -child);
  return child;
}

function removed(result: number, name: Uint8Array): void {
  if (result < 0 && result !== -errnoOf("ENOENT")) {
    throw systemError("unlinkat", name.subarray(0, -1), -result);
  }
}
