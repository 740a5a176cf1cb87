/**
 * Locks between processes: files in the store that the kernel locks for us.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  rmdirSync,
  writeSync,
} from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { escapeText, hasErrorCode } from "@stowage/content";

import { type LockMode, tryLockFile } from "./linux/file-lock.ts";
import { describeHolders } from "./lock-holders.ts";
import { StoreError } from "./store-error.ts";

/** A lock that is held until it is disposed of, or until the process ends. */
export interface HeldLock extends Disposable {
  readonly path: string;
}

/** How {@link acquireLock} waits. */
export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until it gives up. @defaultValue 60_000 */
  readonly timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const LONGEST_PAUSE_MS = 20;

/**
 * Waits for a lock.
 *
 * @throws {@link StoreError} `ERR_STORE_BUSY` naming the holder when the time is up.
 */
export async function acquireLock(
  path: string,
  mode: LockMode,
  options: LockOptions = {},
): Promise<HeldLock> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const deadline = performance.now() + timeoutMs;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    signal?.throwIfAborted();
    const held = tryAcquireLock(path, mode);
    if (held !== undefined) return held;
    if (performance.now() >= deadline) {
      const holders = describeHolders(path);
      throw new StoreError("ERR_STORE_BUSY", `${escapeText(path)} is locked by ${holders}`, {
        hint: "Try again when the other process is done.",
      });
    }
    await delay(pause);
  }
}

/**
 * Takes a lock if it is free. The file is made where it is missing, unless `existing` is set.
 *
 * On a file system that is mounted read-only, shared locks are those that others see who have it
 * mounted to write; there are no exclusive ones, which is `EROFS`.
 *
 * @returns `undefined` while another holds it, or where it has to exist and does not.
 */
export function tryAcquireLock(
  path: string,
  mode: LockMode,
  existing = false,
): HeldLock | undefined {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | (existing ? 0 : constants.O_CREAT);
  for (;;) {
    const fd = openLockFile(path, flags, mode);
    if (fd === "never locked") return { path, [Symbol.dispose]() {} };
    if (fd === undefined) return undefined;
    let isHeld = false;
    try {
      if (!tryLockFile(fd, mode)) return undefined;
      // Whoever held it before may have unlinked it, and others then lock a new file.
      isHeld = isSameFile(fd, path);
      if (isHeld && mode === "exclusive") writeOwner(fd);
    } finally {
      if (!isHeld) closeSync(fd);
    }
    if (isHeld) return { path, [Symbol.dispose]: () => closeSync(fd) };
    if (existing) return undefined;
  }
}

function openLockFile(
  path: string,
  flags: number,
  mode: LockMode,
): number | "never locked" | undefined {
  const mayCreate = (flags & constants.O_CREAT) !== 0;
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    if (!mayCreate && hasErrorCode(error, "ENOENT")) return undefined;
    if (mode === "shared" && hasErrorCode(error, "EROFS")) {
      return openToRead(path) ?? (mayCreate ? "never locked" : undefined);
    }
    if (!mayCreate || !hasErrorCode(error, "EISDIR")) throw error;
    rmdirSync(path);
    return openSync(path, flags, 0o600);
  }
}

/**
 * A lock that has no file was never held. Whoever makes one now, having the file system mounted to
 * write, is not kept out by one who can only read, and whose answers are the worst that can suffer.
 */
function openToRead(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function isSameFile(fd: number, path: string): boolean {
  const atPath = lstatSync(path, { throwIfNoEntry: false });
  const open = fstatSync(fd);
  return atPath !== undefined && atPath.ino === open.ino && atPath.dev === open.dev;
}

/** For messages only: on a full disk a lock is held without. */
function writeOwner(fd: number): void {
  const owner = { pid: process.pid, command: process.title, since: new Date().toISOString() };
  try {
    ftruncateSync(fd);
    writeSync(fd, `${JSON.stringify(owner)}\n`, 0);
  } catch (error) {
    if (!hasErrorCode(error, "ENOSPC", "EDQUOT")) throw error;
  }
}
