/**
 * Locks of the kernel on open files. They end with the descriptor, and so with the process.
 *
 * These are the "open file description" locks: unlike the older record locks, closing another
 * descriptor of the same file does not drop them, and they exclude within one process too.
 *
 * @module
 */
import { errnoOf, lastErrno, libcFunction, systemError } from "./libc.ts";

/** Several may hold a file shared; one alone holds it exclusively. */
export type LockMode = "shared" | "exclusive";

const F_OFD_SETLK = 37;
const LOCK_TYPE: Readonly<Record<LockMode, number>> = { shared: 0, exclusive: 1 };
const STRUCT_FLOCK_BYTES = 32;

const fcntl = libcFunction<[number, number, Uint8Array]>("fcntl", ["int", "int", "pointer"]);

/**
 * Locks a whole open file, at once or not at all. Closing the descriptor unlocks it.
 *
 * @param fd - Open for reading, and for writing where the lock is exclusive.
 * @returns Whether it is locked now.
 * @throws {@link SystemError} When the file system has no locks.
 */
export function tryLockFile(fd: number, mode: LockMode): boolean {
  const request = Buffer.alloc(STRUCT_FLOCK_BYTES);
  new Int16Array(request.buffer, request.byteOffset, 1)[0] = LOCK_TYPE[mode];
  if (fcntl(fd, F_OFD_SETLK, request) === 0) return true;
  const errno = lastErrno();
  if (errno === errnoOf("EAGAIN") || errno === errnoOf("EACCES")) return false;
  throw systemError("fcntl", undefined, errno);
}
