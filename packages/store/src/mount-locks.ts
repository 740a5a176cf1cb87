/**
 * Who holds one of these alone changes a mount and its count.
 *
 * @module
 */
import { join } from "node:path";

import type { StoreLayout } from "./store-layout.ts";
import { acquireLock, type HeldLock, type LockOptions } from "./store-lock.ts";

/** In the root: a container's layer must not be mounted by way of two run roots at once. */
export async function lockContainerMount(
  layout: StoreLayout,
  id: string,
  options: LockOptions | undefined,
): Promise<HeldLock> {
  const path = join(layout.locks, `mount-${id}.lock`);
  return await acquireLock(path, "exclusive", { signal: options?.signal });
}

export async function lockImageMount(
  layout: StoreLayout,
  id: string,
  options: LockOptions | undefined,
): Promise<HeldLock> {
  const path = join(layout.runLocks, `mount-${id}.lock`);
  return await acquireLock(path, "exclusive", { signal: options?.signal });
}
