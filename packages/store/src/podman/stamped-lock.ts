/**
 * The lock files of containers/storage: locked by the kernel, with 64 bytes in them that change with
 * every change of what they guard.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fdatasyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { escapeText } from "@stowage/content";

import { tryLockFile } from "../linux/file-lock.ts";
import { describeHolders } from "../lock-holders.ts";
import { StoreError } from "../store-error.ts";

/** A lock file that is held exclusively. */
export interface StampedLock extends Disposable {
  /** Says that what it guards is another now; to be called before that is. */
  stamp(): void;
}

const STAMP_BYTES = 64;
const TIMEOUT_MS = 60_000;
const PAUSE_MS = 10;

/** @throws {@link StoreError} `ERR_STORE_BUSY` after a minute, naming the holder. */
export async function lockStamped(path: string, signal?: AbortSignal): Promise<StampedLock> {
  // Readers open it for reading alone, and must find it.
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  try {
    for (const deadline = performance.now() + TIMEOUT_MS; !tryLockFile(fd, "exclusive");) {
      signal?.throwIfAborted();
      if (performance.now() >= deadline) {
        const message = `${escapeText(path)} is locked by ${describeHolders(path)}`;
        throw new StoreError("ERR_STORE_BUSY", message, { hint: "Try again later." });
      }
      await delay(PAUSE_MS);
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    stamp() {
      const bytes = randomBytes(STAMP_BYTES);
      for (let done = 0; done < STAMP_BYTES;) {
        done += writeSync(fd, bytes, done, STAMP_BYTES - done, done);
      }
      ftruncateSync(fd, STAMP_BYTES);
      fdatasyncSync(fd);
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
