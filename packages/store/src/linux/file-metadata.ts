/**
 * What the system knows about a file beside its content: type, mode, owner, times.
 *
 * Names are NUL-terminated bytes of one component in an open directory; an empty one means the
 * directory itself, where that is said. The last component is never followed.
 *
 * @module
 */
import { AT_CWD } from "./file-calls.ts";
import { checkResult, cString, errnoOf, lastErrno, libcFunction, systemError } from "./libc.ts";

/** File types in a mode. */
export const FILE_TYPE = {
  mask: 0o170000,
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
} as const;

/** What {@link statAt} finds. */
export interface FileStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly inode: bigint;
  readonly size: bigint;
  /** Allocated, of 512 bytes each. */
  readonly blocks: bigint;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly mountId: bigint;
}

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_AND_MOUNT = 0x17ff;
const NANOSECONDS = 1_000_000_000n;

const fchown = libcFunction<[number, number, number]>("fchown", ["int", "uint", "uint"]);
const fchownat = libcFunction<[number, Uint8Array, number, number, number]>("fchownat", [
  "int",
  "pointer",
  "uint",
  "uint",
  "int",
]);
const fchmod = libcFunction<[number, number]>("fchmod", ["int", "uint"]);
const fchmodat = libcFunction<[number, Uint8Array, number, number]>("fchmodat", [
  "int",
  "pointer",
  "uint",
  "int",
]);
const futimens = libcFunction<[number, Uint8Array]>("futimens", ["int", "pointer"]);
const utimensat = libcFunction<[number, Uint8Array, Uint8Array, number]>("utimensat", [
  "int",
  "pointer",
  "pointer",
  "int",
]);
const statx = libcFunction<[number, Uint8Array, number, number, Uint8Array]>("statx", [
  "int",
  "pointer",
  "int",
  "uint",
  "pointer",
]);

/** Gives an open file to an owner; answers 0 or the negated error number. */
export function tryChangeOwner(fd: number, uid: number, gid: number): number {
  return fchown(fd, uid, gid) < 0 ? -lastErrno() : 0;
}

/**
 * Gives a name, itself when it is a symbolic link, to an owner; answers 0 or the negated error number.
 */
export function tryChangeOwnerAt(fd: number, name: Uint8Array, uid: number, gid: number): number {
  const flags = name[0] === 0 ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  return fchownat(fd, name, uid, gid, flags) < 0 ? -lastErrno() : 0;
}

/** As {@link tryChangeOwnerAt}. @throws {@link SystemError} */
export function changeOwnerAt(fd: number, name: Uint8Array, uid: number, gid: number): void {
  const result = tryChangeOwnerAt(fd, name, uid, gid);
  if (result < 0) throw systemError("fchownat", nameOf(name), -result);
}

/** Sets the permission bits of an open file. @throws {@link SystemError} */
export function changeMode(fd: number, mode: number): void {
  checkResult(fchmod(fd, mode), "fchmod");
}

/** Sets the permission bits of a name that is no symbolic link. @throws {@link SystemError} */
export function changeModeAt(fd: number, name: Uint8Array, mode: number): void {
  checkResult(fchmodat(fd, name, mode, AT_SYMLINK_NOFOLLOW), "fchmodat", nameOf(name));
}

const times = new BigInt64Array(4);
const timesBytes = new Uint8Array(times.buffer);

/** Times as the calls take them, from nanoseconds since 1970; valid until it is called again. */
export function timesOf(atime: bigint, mtime: bigint): Uint8Array {
  times[0] = atime / NANOSECONDS;
  times[1] = atime % NANOSECONDS;
  times[2] = mtime / NANOSECONDS;
  times[3] = mtime % NANOSECONDS;
  return timesBytes;
}

/** Sets the times of an open file. @throws {@link SystemError} */
export function changeTimes(fd: number, times: Uint8Array): void {
  checkResult(futimens(fd, times), "futimens");
}

/** Sets the times of a name, itself when it is a symbolic link. @throws {@link SystemError} */
export function changeTimesAt(fd: number, name: Uint8Array, times: Uint8Array): void {
  checkResult(utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW), "utimensat", nameOf(name));
}

/** What there is at a path of the store's own, as {@link statAt}; a link itself, at the end. */
export function statPath(path: string): FileStat | undefined {
  return statAt(AT_CWD, cString(path));
}

/**
 * What a name is, not following it; an empty name means `fd` itself. `undefined` when missing.
 *
 * @throws {@link SystemError} For any other failure.
 */
export function statAt(fd: number, name: Uint8Array): FileStat | undefined {
  const buffer = Buffer.alloc(256);
  const flags = name[0] === 0 ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  if (statx(fd, name, flags, STATX_BASIC_AND_MOUNT, buffer) < 0) {
    const errno = lastErrno();
    if (errno === errnoOf("ENOENT")) return undefined;
    throw systemError("statx", nameOf(name), errno);
  }
  const words = new BigInt64Array(buffer.buffer, buffer.byteOffset, 32);
  const halves = new Uint32Array(buffer.buffer, buffer.byteOffset, 64);
  const quarters = new Uint16Array(buffer.buffer, buffer.byteOffset, 128);
  const time = (word: number): bigint =>
    (words[word] ?? 0n) * NANOSECONDS + BigInt(halves[word * 2 + 2] ?? 0);
  return {
    nlink: halves[4] ?? 0,
    uid: halves[5] ?? 0,
    gid: halves[6] ?? 0,
    mode: quarters[14] ?? 0,
    inode: words[4] ?? 0n,
    size: words[5] ?? 0n,
    blocks: words[6] ?? 0n,
    atime: time(8),
    ctime: time(12),
    mtime: time(14),
    deviceMajor: halves[32] ?? 0,
    deviceMinor: halves[33] ?? 0,
    mountId: words[18] ?? 0n,
  };
}

function nameOf(name: Uint8Array): Uint8Array {
  return name.subarray(0, -1);
}
