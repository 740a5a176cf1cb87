import { setTimeout as delay } from "node:timers/promises";

import { hasErrorCode } from "@stowage/content";

import { unmount } from "./linux/mount-api.ts";
import { mountIdAt } from "./linux/mount-table.ts";
import { describeUsers } from "./mount-users.ts";
import { StoreError } from "./store-error.ts";
import { asStoreError } from "./system-failure.ts";

const MAX_STACKED = 64;
const BUSY_RETRIES = 10;
const BUSY_PAUSE_MS = 20;

/**
 * Unmounts all that is at a place: after a crash, or by hand, mounts may lie on one another.
 *
 * @throws {@link StoreError} `ERR_STORE_MOUNT_BUSY` while it is in use, unless forced;
 *   `ERR_STORE_MOUNT_FAILED`
 */
export async function unmountAll(mountPoint: string, isForced: boolean): Promise<void> {
  for (let left = MAX_STACKED; mountIdAt(mountPoint) !== undefined; left -= 1) {
    if (left === 0) {
      throw new StoreError("ERR_STORE_MOUNT_FAILED", `${mountPoint} stays mounted`, {
        hint: "Unmount it in the mount namespace that it was mounted in.",
      });
    }
    try {
      await unmountPatiently(mountPoint);
    } catch (error) {
      if (!hasErrorCode(error, "EBUSY")) throw asMountError(error, mountPoint);
      if (!isForced) {
        const message = `${mountPoint} is in use by ${describeUsers(mountPoint)}`;
        throw new StoreError("ERR_STORE_MOUNT_BUSY", message, { cause: error });
      }
      await unmount(mountPoint, true);
    }
  }
}

/** A process that has just ended may still hold a file for some milliseconds. */
async function unmountPatiently(mountPoint: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await unmount(mountPoint);
      return;
    } catch (error) {
      if (attempt >= BUSY_RETRIES || !hasErrorCode(error, "EBUSY")) throw error;
    }
    await delay(BUSY_PAUSE_MS);
  }
}

/** What a failed mount call means. */
export function asMountError(error: unknown, mountPoint: string): unknown {
  const subject = `${mountPoint} can not be mounted or unmounted`;
  const failure = asStoreError(error, subject);
  if (
    !(failure instanceof StoreError) ||
    !hasErrorCode(failure, "ERR_STORE_IO", "ERR_STORE_READ_ONLY")
  ) {
    return failure;
  }
  const hint = hasErrorCode(error, "EPERM", "EACCES") ? "Mounting takes root." : undefined;
  return new StoreError("ERR_STORE_MOUNT_FAILED", failure.message, { cause: error, hint });
}
