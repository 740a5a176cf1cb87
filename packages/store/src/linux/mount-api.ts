/**
 * Overlay mounts by the calls that take one option and one directory at a time, so that neither the
 * number of layers nor their paths run into the length of a page.
 *
 * @see https://docs.kernel.org/filesystems/overlayfs.html
 * @module
 */
import { closeSync, constants, openSync, readSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";

import { AT_CWD, OPEN } from "./file-calls.ts";
import { checkResult, cString, errnoOf, lastErrno, libcFunction, systemError } from "./libc.ts";

/** What an overlay mount is made of. */
export interface OverlayMount {
  /** Directories that are read, the topmost first; at least one, or two without `upper`. */
  readonly lower: readonly string[];
  /** Where changes go; none for a mount that is read only. */
  readonly upper?: { readonly upperDir: string; readonly workDir: string } | undefined;
  /** An existing directory. */
  readonly mountPoint: string;
}

/** As many as the kernel takes. */
export const MAX_LOWER_LAYERS = 500;

// The same numbers on every architecture that Node runs on: they are younger than the split.
const SYSCALL = { moveMount: 429, fsopen: 430, fsconfig: 431, fsmount: 432 } as const;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG = { setString: 1, setFd: 5, create: 6 } as const;
const MOUNT_ATTR_RDONLY = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const MAX_LOG_LINES = 32;

// Kernels differ in what they do by default, and each of these can make a layer unreadable for
// those that are mounted otherwise.
const OPTIONS: readonly (readonly [string, string])[] = [
  ["index", "off"],
  ["metacopy", "off"],
  ["redirect_dir", "nofollow"],
  ["xino", "off"],
];

const fsopen = libcFunction<[number, Uint8Array, number]>(
  "syscall",
  ["long", "pointer", "uint"],
  "long",
);
const fsconfig = libcFunction<
  [number, number, number, Uint8Array | null, Uint8Array | null, number]
>("syscall", ["long", "int", "uint", "pointer", "pointer", "int"], "long");
const fsmount = libcFunction<[number, number, number, number]>(
  "syscall",
  ["long", "int", "uint", "uint"],
  "long",
);
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
  const context = checkResult(
    fsopen(SYSCALL.fsopen, cString("overlay"), FSOPEN_CLOEXEC),
    "fsopen",
    "overlay",
  );
  try {
    for (const [key, value] of OPTIONS) setString(context, key, value);
    for (const directory of mount.lower) setDirectory(context, "lowerdir+", directory);
    if (mount.upper !== undefined) {
      setDirectory(context, "upperdir", mount.upper.upperDir);
      setDirectory(context, "workdir", mount.upper.workDir);
    }
    await create(context);
    await attach(context, mount);
  } finally {
    closeSync(context);
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

function setString(context: number, key: string, value: string): void {
  const result = fsconfig(
    SYSCALL.fsconfig,
    context,
    FSCONFIG.setString,
    cString(key),
    cString(value),
    0,
  );
  if (result < 0) throw failure(context, "fsconfig", `${key}=${value}`);
}

function setDirectory(context: number, key: string, path: string): void {
  // O_PATH needs no permission to read, and descriptors know no limit for the length of a path.
  const fd = openSync(path, OPEN.path | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { fsconfig: number } = SYSCALL;
    if (fsconfig(number, context, FSCONFIG.setFd, cString(key), null, fd) === 0) return;
    if (lastErrno() !== errnoOf("EINVAL")) throw failure(context, "fsconfig", `${key}=${path}`);
    // Before Linux 6.13 only text is taken.
    readLog(context);
    setString(context, key, `/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

async function create(context: number): Promise<void> {
  try {
    const { fsconfig: number } = SYSCALL;
    await fsconfig.inBackground("overlay", number, context, FSCONFIG.create, null, null, 0);
  } catch (error) {
    const errno = error instanceof Error && "errno" in error ? Number(error.errno) : 0;
    throw errno === 0 ? error : withLog(context, systemError("fsconfig", "overlay", -errno));
  }
}

async function attach(context: number, mount: OverlayMount): Promise<void> {
  const attributes = mount.upper === undefined ? MOUNT_ATTR_RDONLY : 0;
  const detached = fsmount(SYSCALL.fsmount, context, FSMOUNT_CLOEXEC, attributes);
  if (detached < 0) throw failure(context, "fsmount", mount.mountPoint);
  try {
    const empty = cString("");
    const target = cString(mount.mountPoint);
    const number = SYSCALL.moveMount;
    const moved = moveMount(number, detached, empty, AT_CWD, target, MOVE_MOUNT_F_EMPTY_PATH);
    checkResult(moved, "move_mount", mount.mountPoint);
  } finally {
    closeSync(detached);
  }
}

function failure(context: number, syscall: string, subject: string): Error {
  return withLog(context, systemError(syscall, subject));
}

function withLog(context: number, error: Error): Error {
  const log = readLog(context).join("; ");
  if (log !== "") error.message += ` (${log})`;
  return error;
}

/** What the kernel has to say: one line for each read of the descriptor. */
function readLog(context: number): readonly string[] {
  const lines: string[] = [];
  const buffer = Buffer.alloc(1024);
  try {
    while (lines.length < MAX_LOG_LINES) {
      const length = readSync(context, buffer);
      if (length === 0) break;
      lines.push(buffer.toString("utf8", 0, length).trim());
    }
  } catch {
    // ENODATA: there is nothing more.
  }
  return lines;
}
