import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { Arrivals } from "./arrivals.ts";
import type { LayerID } from "./layer-id.ts";
import { LowerViews } from "./layer/inherit-directory.ts";
import type { StoreLimits } from "./layer/layer-limits.ts";
import { renameNoReplace } from "./linux/file-calls.ts";
import type { LockMode } from "./linux/file-lock.ts";
import { removeTree } from "./linux/tree.ts";
import { randomName } from "./publish-file.ts";
import { openStaging, type Staging } from "./staging.ts";
import { type LockName, lockPath, type StoreLayout } from "./store-layout.ts";
import { acquireLock, type HeldLock, type LockOptions } from "./store-lock.ts";

/** What the parts of an open store share. */
export interface StoreContext extends AsyncDisposable {
  readonly layout: StoreLayout;
  readonly limits: StoreLimits;
  /**
   * Bytes of the archives of a layer and all below it, as far as they have been added up: they
   * follow from its ID.
   */
  readonly stackBytes: Map<LayerID, number>;
  /** What layers show to those above. */
  readonly lowerViews: LowerViews;
  /** What lies right below a layer and can be seen through it; that follows from its ID, too. */
  readonly seenBelow: Map<LayerID, LayerID | undefined>;
  readonly arrivals: Arrivals;
  /** A directory of this process alone, for files on their way. */
  stagingDir(): string;
  lock(name: LockName, mode: LockMode, options?: LockOptions): Promise<HeldLock>;
  /**
   * Takes something out of the store in one step, durable once its directory is synced.
   *
   * @returns Where it is now, for {@link StoreContext.emptyTrash}; `undefined` if it was gone.
   */
  moveToTrash(path: string): string | undefined;
  /** Removes what was moved away. What can not be removed now is when a store is next opened. */
  emptyTrash(paths: readonly (string | undefined)[]): Promise<void>;
  /** Lets work go on by itself; it is waited for when the store is closed. */
  inBackground(work: Promise<void>): void;
}

export function createStoreContext(layout: StoreLayout, limits: StoreLimits): StoreContext {
  let staging: Staging | undefined;
  const background = new Set<Promise<void>>();
  return {
    layout,
    limits,
    stackBytes: new Map(),
    lowerViews: new LowerViews(),
    seenBelow: new Map(),
    arrivals: new Arrivals(),
    stagingDir() {
      staging ??= openStaging(layout.staging);
      return staging.path;
    },
    lock: (name, mode, options) => acquireLock(lockPath(layout, name), mode, options),
    moveToTrash(path) {
      const trashed = join(layout.trash, randomName());
      try {
        renameNoReplace(path, trashed);
        return trashed;
      } catch (error) {
        if (hasErrorCode(error, "ENOENT")) return undefined;
        throw error;
      }
    },
    async emptyTrash(paths) {
      for (const path of paths) {
        if (path === undefined) continue;
        try {
          await removeTree(path);
        } catch {
          // It is out of the store already; the next opening tries again.
        }
      }
    },
    inBackground(work) {
      background.add(work);
      const end = (): void => void background.delete(work);
      work.then(end, end);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(background);
      await staging?.[Symbol.asyncDispose]();
      staging = undefined;
    },
  };
}
