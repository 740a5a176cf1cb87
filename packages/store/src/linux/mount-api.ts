/**
 * Overlay mounts.
 *
 * @see https://docs.kernel.org/filesystems/overlayfs.html
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";

import { AT_CWD, OPEN } from "./file-calls.ts";
import { withFileIdentity } from "./file-identity.ts";
import { FsContext, MOUNT_SYSCALL } from "./fs-context.ts";
import { checkResult, cString, libcFunction } from "./libc.ts";
import { MappedTrees } from "./mapped-tree.ts";

/** What an overlay mount is made of. */
export interface OverlayMount {
  /** Directories that are read, the topmost first; at least one, or two without `upper`. */
  readonly lower: readonly string[];
  /** Where changes go; none for a mount that is read only. */
  readonly upper?: UpperDirectories | undefined;
  /** An existing directory. */
  readonly mountPoint: string;
  /** Shows other owners than the disk has, and writes the others back. */
  readonly owners?: MappedOwners | undefined;
}

/** Both on one file system, and used by nothing else. */
export interface UpperDirectories {
  readonly upperDir: string;
  readonly workDir: string;
}

/** Whose the files seem to be. */
export interface MappedOwners {
  /** A descriptor of the user namespace whose map it is. */
  readonly userNamespace: number;
  /** Who root of the namespace is outside. */
  readonly rootUid: number;
  readonly rootGid: number;
  /** Directories that together hold all others; both of `upper` lie in one. */
  readonly trees: readonly string[];
}

/** As many as the kernel takes. */
export const MAX_LOWER_LAYERS = 500;

const MOUNT_ATTR_RDONLY = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

// Kernels differ in what they do by default, and each of these can make a layer unreadable for
// those that are mounted otherwise.
const OPTIONS: readonly (readonly [string, string])[] = [
  ["index", "off"],
  ["metacopy", "off"],
  ["redirect_dir", "nofollow"],
  ["xino", "off"],
];

const moveMount = libcFunction<[number, number, Uint8Array, number, Uint8Array, number]>(
  "syscall",
  ["long", "int", "pointer", "int", "pointer", "uint"],
  "long",
);
const umount2 = libcFunction<[Uint8Array, number]>("umount2", ["pointer", "int"]);

/**
 * Mounts an overlay.
 *
 * @throws {@link SystemError} With what the kernel logged about it in the message.
 */
export async function mountOverlay(mount: OverlayMount): Promise<void> {
  const { owners, upper } = mount;
  using trees = owners && new MappedTrees(owners.trees, owners.userNamespace);
  using context = new FsContext("overlay");
  for (const [key, value] of OPTIONS) context.setString(key, value);
  for (const directory of mount.lower) addDirectory(context, "lowerdir+", directory, trees);
  if (upper !== undefined) {
    addDirectory(context, "upperdir", upper.upperDir, trees);
    addDirectory(context, "workdir", upper.workDir, trees);
  }
  if (owners === undefined) await context.create();
  // An overlay makes its own files as who made it, which has to be somebody that the map has.
  else withFileIdentity(owners.rootUid, owners.rootGid, () => context.createNow());
  attach(context, mount);
}

/**
 * Whether an upper directory is in use by a mount anywhere on the machine: in another mount
 * namespace, detached, or of another store. The kernel knows, but only refuses such a mount when it
 * is to keep an index. It is asked for one, which can not be made for another reason too.
 */
export async function isUpperInUse(upperDir: string, emptyLower: string): Promise<boolean> {
  using context = new FsContext("overlay");
  context.setString("index", "on");
  addDirectory(context, "lowerdir+", emptyLower, undefined);
  addDirectory(context, "upperdir", upperDir, undefined);
  addDirectory(context, "workdir", upperDir, undefined);
  try {
    await context.create();
    return false;
  } catch (error) {
    return hasErrorCode(error, "EBUSY");
  }
}

/**
 * Unmounts what is at a place; something that is not there is unmounted already.
 *
 * @param isDetached - Takes it away even while it is in use; it ends with its last user.
 * @throws {@link SystemError} `EBUSY` while it is in use.
 */
export async function unmount(path: string, isDetached = false): Promise<void> {
  const flags = UMOUNT_NOFOLLOW | (isDetached ? MNT_DETACH : 0);
  try {
    await umount2.inBackground(path, cString(path), flags);
  } catch (error) {
    // Not a mount point, or no such directory.
    if (!hasErrorCode(error, "EINVAL", "ENOENT")) throw error;
  }
}

function addDirectory(
  context: FsContext,
  key: string,
  path: string,
  trees: MappedTrees | undefined,
): void {
  // O_PATH needs no permission to read, and descriptors know no limit for the length of a path.
  const flags = OPEN.path | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const fd = trees === undefined ? openSync(path, flags) : trees.open(path);
  try {
    context.setDirectory(key, fd, path);
  } finally {
    closeSync(fd);
  }
}

function attach(context: FsContext, mount: OverlayMount): void {
  const detached = context.mount(mount.upper === undefined ? MOUNT_ATTR_RDONLY : 0);
  try {
    const empty = cString("");
    const target = cString(mount.mountPoint);
    const number = MOUNT_SYSCALL.moveMount;
    const moved = moveMount(number, detached, empty, AT_CWD, target, MOVE_MOUNT_F_EMPTY_PATH);
    checkResult(moved, "move_mount", mount.mountPoint);
  } finally {
    closeSync(detached);
  }
}
