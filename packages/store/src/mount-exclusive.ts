/**
 * That a writable layer is mounted once, on the whole machine.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { isUpperInUse, type UpperDirectories } from "./linux/mount-api.ts";
import { emptyDirectory } from "./lower-directories.ts";
import { readMountRecord } from "./mount-record.ts";
import { findMountElsewhere } from "./mount-users.ts";
import { StoreError } from "./store-error.ts";
import type { StoreLayout } from "./store-layout.ts";

const HINT = "Two mounts of one writable layer would corrupt it: unmount the other first.";
const BUSY_RETRIES = 10;
const BUSY_PAUSE_MS = 20;

/**
 * Refuses what the record of a mount says is mounted in another mount namespace.
 *
 * @throws {@link StoreError} `ERR_STORE_MOUNT_BUSY`
 */
export async function requireMountedNowhere(directory: string, mountPoint: string): Promise<void> {
  const elsewhere = await readMountRecord(directory);
  const holder = elsewhere && findMountElsewhere(elsewhere.namespace, mountPoint);
  if (holder === undefined) return;
  const message = `${mountPoint} is mounted in the mount namespace of process ${holder}`;
  throw new StoreError("ERR_STORE_MOUNT_BUSY", message, { hint: HINT });
}

/**
 * Refuses a writable layer that the kernel knows to be in use, by whatever mount: a detached one, one
 * of another run root, one that a container keeps in a namespace of its own.
 *
 * @throws {@link StoreError} `ERR_STORE_MOUNT_BUSY`
 */
export async function requireUnused(
  layout: StoreLayout,
  { upperDir, workDir }: UpperDirectories,
): Promise<void> {
  // The kernel leaves this behind with the first mount.
  if (!existsSync(join(workDir, "work"))) return;
  const empty = emptyDirectory(layout, 1);
  for (let attempt = 1; await isUpperInUse(upperDir, empty); attempt += 1) {
    if (attempt >= BUSY_RETRIES) {
      const message = `${upperDir} is in use by a mount that is not seen from here`;
      throw new StoreError("ERR_STORE_MOUNT_BUSY", message, { hint: HINT });
    }
    // What has just been unmounted ends some milliseconds later.
    await delay(BUSY_PAUSE_MS);
  }
}
