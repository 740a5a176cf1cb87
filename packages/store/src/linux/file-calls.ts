/**
 * File system calls relative to an open directory.
 *
 * Names are NUL-terminated bytes ({@link cString}) of one component, unless said otherwise, and the
 * last component is never followed when it is a symbolic link. All descriptors close on exec.
 *
 * @module
 */
import { closeSync, fsyncSync, openSync } from "node:fs";

import { cString, errnoOf, lastErrno, libcFunction, systemError } from "./libc.ts";

/** Flags of `open`, as Linux has them (two differ on ARM). */
export const OPEN: Readonly<
  Record<
    | "readOnly"
    | "writeOnly"
    | "create"
    | "exclusive"
    | "nonBlock"
    | "directory"
    | "noFollow"
    | "closeOnExec"
    | "path",
    number
  >
> = {
  readOnly: 0,
  writeOnly: 0o1,
  create: 0o100,
  exclusive: 0o200,
  nonBlock: 0o4000,
  directory: process.arch.startsWith("arm") ? 0o40000 : 0o200000,
  noFollow: process.arch.startsWith("arm") ? 0o100000 : 0o400000,
  closeOnExec: 0o2000000,
  path: 0o10000000,
};

/** How {@link openBeneath} resolves a path. */
export const RESOLVE = {
  noXdev: 1,
  noMagicLinks: 2,
  noSymlinks: 4,
  beneath: 8,
  inRoot: 16,
} as const;

const AT_REMOVEDIR = 0x200;
/** The current directory, in place of a descriptor: for absolute paths. */
export const AT_CWD = -100;
const SYSCALL_OPENAT2 = 437;
const SYSCALL_RENAMEAT2 = process.arch === "x64" ? 316 : process.arch === "arm64" ? 276 : undefined;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const OPEN_RETRIES = 32;

const openat2 = libcFunction<[number, number, Uint8Array, Uint8Array, number]>(
  "syscall",
  ["long", "int", "pointer", "pointer", "ulong"],
  "long",
);
const openat = libcFunction<[number, Uint8Array, number, number]>("openat", [
  "int",
  "pointer",
  "int",
  "uint",
]);
const close = libcFunction<[number]>("close", ["int"]);
const mkdirat = libcFunction<[number, Uint8Array, number]>("mkdirat", ["int", "pointer", "uint"]);
const mknodat = libcFunction<[number, Uint8Array, number, bigint]>("mknodat", [
  "int",
  "pointer",
  "uint",
  "uint64",
]);
const symlinkat = libcFunction<[Uint8Array, number, Uint8Array]>("symlinkat", [
  "pointer",
  "int",
  "pointer",
]);
const linkat = libcFunction<[number, Uint8Array, number, Uint8Array, number]>("linkat", [
  "int",
  "pointer",
  "int",
  "pointer",
  "int",
]);
const unlinkat = libcFunction<[number, Uint8Array, number]>("unlinkat", ["int", "pointer", "int"]);
const renameat2 = libcFunction<[number, number, Uint8Array, number, Uint8Array, number]>(
  "syscall",
  ["long", "int", "pointer", "int", "pointer", "uint"],
  "long",
);
const renameat2OfLibc = libcFunction<[number, Uint8Array, number, Uint8Array, number]>(
  "renameat2",
  ["int", "pointer", "int", "pointer", "uint"],
);
const readlinkat = libcFunction<[number, Uint8Array, Uint8Array, number]>(
  "readlinkat",
  ["int", "pointer", "pointer", "ulong"],
  "long",
);
const syncfs = libcFunction<[number]>("syncfs", ["int"]);

/** How {@link tryOpenAt} says that the call failed: the negated error number. */
export type DescriptorOrErrno = number;

/**
 * Opens a path of several components, which `resolve` keeps below the directory `fd`.
 *
 * @returns The descriptor, or the negated error number.
 */
export function tryOpenBeneath(
  fd: number,
  path: Uint8Array,
  flags: number,
  resolve: number,
): DescriptorOrErrno {
  const how = new BigUint64Array([BigInt(flags | OPEN.closeOnExec), 0n, BigInt(resolve)]);
  const bytes = new Uint8Array(how.buffer);
  let errno = 0;
  for (let attempt = 0; attempt < OPEN_RETRIES; attempt += 1) {
    const opened = openat2(SYSCALL_OPENAT2, fd, path, bytes, bytes.length);
    if (opened >= 0) return opened;
    errno = lastErrno();
    if (errno !== errnoOf("EAGAIN") && errno !== errnoOf("EINTR")) break;
  }
  return -errno;
}

/** Opens one name in the directory `fd`; answers a negated error number when it can not. */
export function tryOpenAt(
  fd: number,
  name: Uint8Array,
  flags: number,
  mode = 0,
): DescriptorOrErrno {
  const opened = openat(fd, name, flags | OPEN.noFollow | OPEN.closeOnExec, mode);
  return opened < 0 ? -lastErrno() : opened;
}

/** Closes a descriptor; a failure to close something that was only read is no one's business. */
export function closeDescriptor(fd: number): void {
  close(fd);
}

/** Makes a directory; answers 0 or the negated error number. */
export function tryMakeDirectoryAt(fd: number, name: Uint8Array, mode: number): number {
  return mkdirat(fd, name, mode) < 0 ? -lastErrno() : 0;
}

/** Makes a device or fifo; answers 0 or the negated error number. */
export function tryMakeNodeAt(
  fd: number,
  name: Uint8Array,
  mode: number,
  major: number,
  minor: number,
): number {
  const device =
    (BigInt(major & 0xfff) << 8n) |
    BigInt(minor & 0xff) |
    (BigInt(minor & ~0xff) << 12n) |
    (BigInt(major & ~0xfff) << 32n);
  return mknodat(fd, name, mode, device) < 0 ? -lastErrno() : 0;
}

/** Makes a symbolic link; answers 0 or the negated error number. */
export function trySymlinkAt(target: Uint8Array, fd: number, name: Uint8Array): number {
  return symlinkat(target, fd, name) < 0 ? -lastErrno() : 0;
}

/** Makes another name for a file; answers 0 or the negated error number. */
export function tryLinkAt(
  fromFd: number,
  fromName: Uint8Array,
  fd: number,
  name: Uint8Array,
): number {
  return linkat(fromFd, fromName, fd, name, 0) < 0 ? -lastErrno() : 0;
}

/** Removes a file; answers 0 or the negated error number. */
export function tryUnlinkAt(fd: number, name: Uint8Array): number {
  return unlinkat(fd, name, 0) < 0 ? -lastErrno() : 0;
}

/** Removes an empty directory; answers 0 or the negated error number. */
export function tryRemoveDirectoryAt(fd: number, name: Uint8Array): number {
  return unlinkat(fd, name, AT_REMOVEDIR) < 0 ? -lastErrno() : 0;
}

/** Renames unless something has the new name; answers 0 or the negated error number. */
export function tryRenameAt(
  fromFd: number,
  fromName: Uint8Array,
  fd: number,
  name: Uint8Array,
  flags: number = RENAME_NOREPLACE,
): number {
  const result =
    SYSCALL_RENAMEAT2 === undefined
      ? renameat2OfLibc(fromFd, fromName, fd, name, flags)
      : renameat2(SYSCALL_RENAMEAT2, fromFd, fromName, fd, name, flags);
  return result < 0 ? -lastErrno() : 0;
}

/**
 * Where a symbolic link points; `undefined` when the name is none or is missing.
 *
 * @throws {@link SystemError} For any other failure.
 */
export function readLinkAt(fd: number, name: Uint8Array): Buffer | undefined {
  const buffer = Buffer.alloc(4097);
  const length = readlinkat(fd, name, buffer, buffer.length);
  if (length >= 0) return buffer.subarray(0, length);
  const errno = lastErrno();
  if (errno === errnoOf("EINVAL") || errno === errnoOf("ENOENT")) return undefined;
  throw systemError("readlinkat", name, errno);
}

/**
 * Renames, and fails when something has the new name already.
 *
 * @throws {@link SystemError} `EEXIST` when it has, with nothing changed.
 */
export function renameNoReplace(from: string, to: string): void {
  renamePaths(from, to, RENAME_NOREPLACE);
}

/** Swaps two names in one step. @throws {@link SystemError} `ENOENT` when either is missing. */
export function renameExchange(one: string, other: string): void {
  renamePaths(one, other, RENAME_EXCHANGE);
}

/**
 * Writes everything that waits to be written to the file system that holds `path`.
 *
 * @throws {@link SystemError} When a write was lost: what was written since the last success can not
 *   be relied on.
 */
export async function syncFilesystem(path: string): Promise<void> {
  const fd = openSync(path, "r");
  try {
    await syncfs.inBackground(path, fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes the names in a directory durable. @throws {@link SystemError} */
export function fsyncDirectory(path: string): void {
  const fd = openSync(path, OPEN.directory | OPEN.closeOnExec);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function renamePaths(from: string, to: string, flags: number): void {
  const result = tryRenameAt(AT_CWD, cString(from), AT_CWD, cString(to), flags);
  if (result < 0) throw systemError("renameat2", `${from}' -> '${to}`, -result);
}
