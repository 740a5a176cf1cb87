/**
 * Clears away what processes left that ended in the middle of something. Nothing here fails because
 * of what it finds.
 *
 * @module
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

import type { BlobStore } from "./blob-store.ts";
import { hasWaste, sweepWaste } from "./garbage.ts";
import { isTreeHeld } from "./held-tree.ts";
import { isIndexStale, refreshIndexIfRoom } from "./image-layout-index.ts";
import { clearFinishedIngests } from "./ingest-age.ts";
import { liveLeases } from "./lease.ts";
import { removeTree } from "./linux/tree.ts";
import { tryRemoveFile } from "./remove-file.ts";
import { isReadOnly } from "./read-only.ts";
import type { StoreContext } from "./store-context.ts";
import { tryAcquireLock } from "./store-lock.ts";

const NAME = /^[0-9a-f]{32}$/;

export async function recoverStore(context: StoreContext, blobs: BlobStore): Promise<void> {
  const { layout } = context;
  if (isReadOnly(layout.root)) return;
  await clearStaging(layout.staging);
  await clearTrash(layout.trash);
  await clearFinishedIngests(layout);
  await sweepIfFree(context, blobs);
  if (isIndexStale(layout)) await refreshIndexIfRoom(context);
}

/** Drops the leases of the dead, and what waited for them. */
async function sweepIfFree(context: StoreContext, blobs: BlobStore): Promise<void> {
  if (readdirSync(context.layout.leases).length === 0 && !hasWaste(context)) return;
  using gc = tryAcquireLock(join(context.layout.locks, "gc.lock"), "exclusive");
  // Whoever holds it does the same, or something that is not to be waited for.
  if (gc === undefined) return;
  await liveLeases(context);
  await context.emptyTrash(await sweepWaste(context, blobs));
}

/**
 * Removes what processes that have ended left in the staging directory.
 *
 * @param dryRun - Removes nothing.
 * @returns What was tried to be removed, or would be.
 */
export async function clearStaging(staging: string, dryRun = false): Promise<readonly string[]> {
  const left: string[] = [];
  const clear = async (path: string): Promise<void> => {
    if (await isTreeHeld(path)) return;
    left.push(path);
    if (!dryRun) await tryRemove(path);
  };
  for (const entry of readdirSync(staging)) {
    const name = entry.replace(/\.lock$/, "");
    const path = join(staging, name);
    if (!NAME.test(name)) {
      await clear(join(staging, entry));
      continue;
    }
    if (entry === name && isPresent(`${path}.lock`)) continue;
    if (entry === name) {
      await clear(path);
      continue;
    }
    using lock = tryLock(entry, staging);
    if (lock === undefined) continue;
    await clear(path);
    if (!dryRun && !isPresent(path)) tryRemoveFile(lock.path);
  }
  return left;
}

function tryLock(entry: string, staging: string): ReturnType<typeof tryAcquireLock> {
  try {
    return tryAcquireLock(join(staging, entry), "exclusive", true);
  } catch {
    return undefined;
  }
}

/** As {@link clearStaging}, of what was thrown away. */
export async function clearTrash(trash: string, dryRun = false): Promise<readonly string[]> {
  const left: string[] = [];
  for (const entry of readdirSync(trash)) {
    const path = join(trash, entry);
    if (!NAME.test(entry) || (await isTreeHeld(path))) continue;
    left.push(path);
    if (!dryRun) await tryRemove(path);
  }
  return left;
}

/** Another process may be at the same, and a mount may be in the way until it is gone. */
async function tryRemove(path: string): Promise<void> {
  try {
    await removeTree(path);
  } catch {
    // What stays is tried again at the next opening.
  }
}

function isPresent(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
