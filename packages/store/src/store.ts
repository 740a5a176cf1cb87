import { readdirSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";

import { type BlobStore, createBlobStore } from "./blob-store.ts";
import { listContainers } from "./container-records.ts";
import { checkStore } from "./check/check-store.ts";
import type { CheckOptions, CheckReport } from "./check/damage.ts";
import { collectGarbage, type CollectOptions, type CollectReport } from "./collect-garbage.ts";
import { type ContainerStore, createContainerStore } from "./container-store.ts";
import { type DiskUsage, measureUsage } from "./disk-usage.ts";
import { hasWaste, sweepWaste } from "./garbage.ts";
import { createHighWaterMarks, type HighWaterMarks } from "./high-water-marks.ts";
import { listImages } from "./image-records.ts";
import { createImageStore, type ImageStore } from "./image-store.ts";
import { isLayerID, type LayerID } from "./layer-id.ts";
import { storeLimits, type StoreLimits } from "./layer/layer-limits.ts";
import { createLayerStore, type LayerStore, listLayers } from "./layer-store.ts";
import {
  createLease,
  type Lease,
  type LeaseOptions,
  type ListedLease,
  listLeases,
  listTransfers,
  liveLeases,
  releaseLease,
} from "./lease.ts";
import type { ListedTransfer } from "./lease-transfer.ts";
import { createMountStore, type MountStore } from "./mount.ts";
import { nameMountFailures } from "./name-mount-failures.ts";
import { openRoot } from "./open-root.ts";
import {
  exportPodman,
  type ExportPodmanOptions,
  type PodmanExport,
  removePodmanExport,
  type RemovedPodmanExport,
} from "./podman/export-podman.ts";
import { recoverStore } from "./recover-store.ts";
import { createStoreContext, type StoreContext } from "./store-context.ts";
import { lockPath } from "./store-layout.ts";
import { acquireLock } from "./store-lock.ts";
import { reportFailures } from "./system-failure.ts";

/** Where a store is. */
export interface OpenStoreOptions {
  /** What has to last: an absolute path on one local file system. */
  readonly root: string;
  /** What may be gone after a reboot: mounts, their counts, run directories. */
  readonly runRoot: string;
  /**
   * What images may hold, where it differs from the defaults. What is here already stays, and is
   * compared, repaired and exported within these.
   */
  readonly limits?: Partial<StoreLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a store holds. */
export interface StoreInfo {
  readonly root: string;
  readonly runRoot: string;
  /** Of the layout on disk. */
  readonly formatVersion: number;
  readonly images: number;
  readonly layers: number;
  readonly containers: number;
  readonly blobs: number;
  /** Bytes of all blobs. */
  readonly blobBytes: number;
  /** Containers and images that are mounted. */
  readonly mounts: number;
  /** Bytes that the file system of the root has left for this user. */
  readonly freeBytes: number;
}

/**
 * A store on disk. Any number of processes may have it open at once. Disposing of it removes its
 * temporary files; mounts stay.
 */
export interface Store extends AsyncDisposable {
  readonly root: string;
  readonly runRoot: string;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly images: ImageStore;
  readonly containers: ContainerStore;
  readonly mounts: MountStore;
  readonly marks: HighWaterMarks;
  /**
   * Keeps content from being collected while something is put together from it: hold one from before
   * the first blob is looked up until the image is stored.
   */
  createLease(options?: LeaseOptions): Promise<Lease>;
  /** The leases that are in force. */
  listLeases(): Promise<readonly ListedLease[]>;
  /** What processes are bringing here under leases that say so. Waits for none of them. */
  listTransfers(): Promise<readonly ListedTransfer[]>;
  /** Ends a lease that was to outlive its process. Resolves to whether there was one. */
  releaseLease(id: string): Promise<boolean>;
  /**
   * Removes the blobs and layers that no image, container, mount or lease needs, and what processes
   * left that have ended; or tells what it would remove, and why the rest stays.
   */
  collectGarbage(options?: CollectOptions): Promise<CollectReport>;
  /**
   * Looks for what is damaged, and repairs it if asked to. Others may use the store meanwhile;
   * healthy objects are never touched.
   */
  check(options?: CheckOptions): Promise<CheckReport>;
  /**
   * Makes a directory, or brings one up to date, that podman and others that read containers/storage
   * take as an additional image store. Files of layers are not copied. What is exported stays in the
   * store until it is exported no more.
   *
   * @param directory - An absolute path; nothing is there, or an export of this store.
   * @throws {@link StoreError} `ERR_STORE_INVALID_EXPORT` for a place where no export can be;
   *   `ERR_STORE_IMAGE_NOT_FOUND`; `ERR_STORE_LAYER_NOT_FOUND`, `ERR_STORE_BLOB_NOT_FOUND`,
   *   `ERR_STORE_DIFF_ID_MISMATCH`, `ERR_STORE_CORRUPT` for an image that is not whole.
   */
  exportPodman(directory: string, options?: ExportPodmanOptions): Promise<PodmanExport>;
  /**
   * Removes an export, with its directory if nothing else is in it. Nothing may run on it any more.
   *
   * @throws {@link StoreError} `ERR_STORE_INVALID_EXPORT` where there is none of this store.
   */
  removePodmanExport(
    directory: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<RemovedPodmanExport>;
  /** Adds up what the root takes on the disk. Walks all of it. */
  usage(options?: { readonly signal?: AbortSignal | undefined }): Promise<DiskUsage>;
  info(): Promise<StoreInfo>;
}

/**
 * Opens a store, and makes it where there is none. What a crash left is cleared away.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_ROOT` for a place where no store should be;
 *   `ERR_STORE_UNSUPPORTED_VERSION` for a layout of a later version, `ERR_STORE_CORRUPT` where the
 *   version can not be told; `ERR_STORE_BUSY` while another
 *   process changes the layout; `ERR_STORE_INVALID_ARGUMENT` for limits that are none;
 *   `ERR_STORE_NO_SPACE`, `ERR_STORE_READ_ONLY`, `ERR_STORE_IO`.
 */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const { signal } = options;
  signal?.throwIfAborted();
  const limits = storeLimits(options.limits);
  const subject = `store ${options.root} can not be opened`;
  return await reportFailures(subject, async () => {
    const layout = await openRoot(options.root, options.runRoot);
    const context = createStoreContext(layout, limits);
    const use = await acquireLock(lockPath(layout, "store"), "shared", { signal });
    try {
      const store = assembleStore(context, () => use[Symbol.dispose]());
      await recoverStore(context, store.blobs);
      signal?.throwIfAborted();
      return store;
    } catch (error) {
      await context[Symbol.asyncDispose]();
      use[Symbol.dispose]();
      throw error;
    }
  });
}

function assembleStore(context: StoreContext, release: () => void): Store {
  const { root, runRoot } = context.layout;
  const blobs = createBlobStore(context);
  const layers = createLayerStore(context, (id) => usersOfLayer(context, id));
  const sweep = (): Promise<void> => sweepWaiting(context, blobs);
  const images = createImageStore(context, blobs, layers);
  const containers = createContainerStore(context, layers, sweep);
  const mounts = nameMountFailures(createMountStore(context, layers));
  const lease = (options: LeaseOptions): Promise<Lease> =>
    reportFailures("a lease can not be taken", () => createLease(context, options, sweep));
  const openedAt = Date.now();
  let isOpen = true;
  return {
    root,
    runRoot,
    blobs,
    layers,
    images,
    containers,
    mounts,
    marks: createHighWaterMarks(context.layout),
    createLease: (options = {}) => lease(options),
    listLeases: () => reportFailures("the leases can not be listed", () => listLeases(context)),
    listTransfers: () =>
      reportFailures("what is under way can not be listed", () => listTransfers(context)),
    releaseLease: (id) =>
      reportFailures("the lease can not be released", async () => {
        if (!(await releaseLease(context, id))) return false;
        await sweep();
        return true;
      }),
    collectGarbage: (options) =>
      reportFailures("garbage can not be collected", async () => {
        const { report, trashed } = await collectGarbage(context, blobs, options);
        await context.emptyTrash(trashed);
        return report;
      }),
    check: (options = {}) =>
      reportFailures("the store can not be checked", () =>
        checkStore({ context, blobs, layers, lease }, options, openedAt),
      ),
    exportPodman: (directory, options = {}) =>
      reportFailures("the images can not be exported", async () => {
        const exported = await exportPodman(context, blobs, directory, options);
        await sweep();
        return exported;
      }),
    removePodmanExport: (directory, { signal } = {}) =>
      reportFailures("the export can not be removed", async () => {
        const removed = await removePodmanExport(context, directory, signal);
        await sweep();
        return removed;
      }),
    usage: ({ signal } = {}) =>
      reportFailures("the store can not be measured", () => measureUsage(context, blobs, signal)),
    info: () => describe(context, blobs, mounts),
    async [Symbol.asyncDispose]() {
      if (!isOpen) return;
      isOpen = false;
      await context[Symbol.asyncDispose]();
      release();
    },
  };
}

/** Removes what had to stay for a lease or a container, once that is gone. */
async function sweepWaiting(context: StoreContext, blobs: BlobStore): Promise<void> {
  if (!hasWaste(context)) return;
  let trashed: readonly (string | undefined)[];
  {
    using _gc = await context.lock("gc", "exclusive");
    trashed = await sweepWaste(context, blobs);
  }
  await context.emptyTrash(trashed);
}

async function usersOfLayer(context: StoreContext, id: LayerID): Promise<readonly string[]> {
  const layers = (await listLayers(context)).records.filter(({ parent }) => parent === id);
  const images = (await listImages(context)).records.filter((image) => image.layers.includes(id));
  const containers = (await listContainers(context)).records.filter(
    ({ topLayer }) => topLayer === id,
  );
  const leases = (await liveLeases(context)).filter(
    (lease) => lease.isEverything || lease.layers.includes(id),
  );
  return [
    ...layers.map((layer) => `layer ${layer.id}`),
    ...images.map((image) => `image ${image.id}`),
    ...containers.map((container) => `container ${container.id}`),
    ...leases.map(({ holder }) => holder),
  ];
}

async function describe(
  context: StoreContext,
  blobs: BlobStore,
  mounts: MountStore,
): Promise<StoreInfo> {
  const { layout } = context;
  const count = (path: string): number => readdirSync(path).filter(isLayerID).length;
  let blobCount = 0;
  let blobBytes = 0;
  for await (const { size } of blobs.walk()) {
    blobCount += 1;
    blobBytes += size;
  }
  const { bavail, bsize } = await statfs(join(layout.root));
  return {
    root: layout.root,
    runRoot: layout.runRoot,
    formatVersion: 1,
    images: count(layout.images),
    layers: count(layout.layers),
    containers: count(layout.containers),
    blobs: blobCount,
    blobBytes,
    mounts: (await mounts.list()).length,
    freeBytes: bavail * bsize,
  };
}
