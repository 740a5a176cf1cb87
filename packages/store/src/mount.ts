/**
 * Mounts of containers and images, counted across processes.
 *
 * A count is kept in a file under a lock; whether there is a mount at all is for the kernel's table
 * to say. So a process may die at any moment: the mount stays, is found, and is never made twice.
 *
 * @module
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, encodedOf, escapeText } from "@stowage/content";

import { isContainerID } from "./container-record.ts";
import { readContainerOf } from "./container-records.ts";
import { type HoldingMount, isMounted } from "./held-tree.ts";
import type { ImageID } from "./image-record.ts";
import { findImage, requireImageID } from "./image-records.ts";
import { noteUse } from "./image-use.ts";
import type { LayerStore } from "./layer-store.ts";
import { mountOverlay, type OverlayMount } from "./linux/mount-api.ts";
import { lowerDirectories } from "./lower-directories.ts";
import { mountsAt } from "./linux/mount-table.ts";
import { readMountRecord, writeMountRecord } from "./mount-record.ts";
import { findMountElsewhere, mountNamespace } from "./mount-users.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { containerPath, type StoreLayout } from "./store-layout.ts";
import { acquireLock, type HeldLock } from "./store-lock.ts";
import { asMountError, unmountAll } from "./unmount-all.ts";

/** How mounts wait for other processes. */
export interface MountOptions {
  readonly signal?: AbortSignal | undefined;
}

/** How something is unmounted. */
export interface UnmountOptions extends MountOptions {
  /** Unmounts whatever the count, and even what is in use. @defaultValue false */
  readonly force?: boolean | undefined;
}

/** A mount, and how many mounted it; the number is old when it is read. */
export interface CountedMount {
  readonly mountPoint: string;
  readonly count: number;
}

/** A mount of the store. */
export interface ListedMount extends CountedMount {
  /** The container's ID, or the hex digits of the image's. */
  readonly id: string;
}

/** Mounts what containers and images consist of. */
export interface MountStore {
  /**
   * Mounts a container's layers with its own, writable one on top, or counts one more user.
   *
   * @throws {@link StoreError} `ERR_STORE_CONTAINER_NOT_FOUND`; `ERR_STORE_LAYER_NOT_FOUND`,
   *   `ERR_STORE_CORRUPT` when a layer is not whole; `ERR_STORE_LIMIT_EXCEEDED` for more layers than
   *   the kernel takes; `ERR_STORE_MOUNT_BUSY` when another mount namespace has it mounted;
   *   `ERR_STORE_MOUNT_FAILED` when the kernel refuses.
   */
  mountContainer(id: string, options?: MountOptions): Promise<CountedMount>;
  /**
   * Takes one user away, and unmounts with the last. What is not mounted has none.
   *
   * @returns How many users are left.
   * @throws {@link StoreError} `ERR_STORE_MOUNT_BUSY` naming who uses it, unless forced.
   */
  unmountContainer(id: string, options?: UnmountOptions): Promise<number>;
  /**
   * Mounts an image read only.
   *
   * @throws {@link StoreError} `ERR_STORE_IMAGE_NOT_FOUND`, and as {@link MountStore.mountContainer}.
   */
  mountImage(id: ImageID, options?: MountOptions): Promise<CountedMount>;
  /** As {@link MountStore.unmountContainer}. */
  unmountImage(id: ImageID, options?: UnmountOptions): Promise<number>;
  /** What is mounted now. */
  list(): Promise<readonly ListedMount[]>;
  /** Where a container, or an image, is mounted now. */
  mountPointOf(id: string): Promise<string | undefined>;
}

const MOUNT_ID = /^[0-9a-f]{64}$/;

export function createMountStore(context: StoreContext, layers: LayerStore): MountStore {
  const { layout } = context;
  return {
    async mountContainer(id, options) {
      const key = containerKey(id);
      if (!existsSync(containerPath(layout, key))) throw noContainer(id);
      // A layer that is being put in order is not mounted in the middle of it.
      using _gc = await context.lock("gc", "shared", options);
      using _mount = await lockMount(layout, key, options);
      return await mountCounted(layout, key, async (mountPoint) => {
        const record = await readContainerOf(context, key);
        if (record === undefined) throw noContainer(id);
        if (record.imageId !== undefined) noteUse(context, record.imageId);
        const lower = await lowerDirectories(layout, layers, record.topLayer, 1);
        const path = containerPath(layout, key);
        const upper = { upperDir: join(path, "upper"), workDir: join(path, "work") };
        return { lower, upper, mountPoint };
      });
    },
    unmountContainer: (id, options) => unmountCounted(layout, containerKey(id), options),
    async mountImage(id, options) {
      requireImageID(id);
      // An image that is being removed is not mounted any more, and the other way round.
      using _gc = await context.lock("gc", "shared", options);
      using _mount = await lockMount(layout, encodedOf(id), options);
      return await mountCounted(layout, encodedOf(id), async (mountPoint) => {
        const record = await findImage(context, id);
        if (record === undefined) {
          throw new StoreError("ERR_STORE_IMAGE_NOT_FOUND", `image ${id} is not stored`);
        }
        noteUse(context, id);
        return {
          lower: await lowerDirectories(layout, layers, record.layers.at(-1), 2),
          mountPoint,
        };
      });
    },
    unmountImage: (id, options) => unmountCounted(layout, encodedOf(id), options),
    async list() {
      const mounts: ListedMount[] = [];
      for (const id of (await readdir(layout.runMounts)).filter((name) => MOUNT_ID.test(name))) {
        const mounted = await currentMount(layout, id);
        if (mounted !== undefined) {
          mounts.push({ id, mountPoint: mountPointPath(layout, id), count: mounted.count });
        }
      }
      return mounts;
    },
    async mountPointOf(id) {
      const path = mountPointPath(layout, mountKey(id));
      return mountsAt(path).length > 0 ? path : undefined;
    },
  };
}

/** Whether an image is mounted, here or in the mount namespace where it was mounted last. */
export async function isImageMounted(layout: StoreLayout, id: Digest): Promise<boolean> {
  return (await findMount(layout, encodedOf(id))) !== undefined;
}

/** All that is mounted, by container IDs and the hex digits of images, in any mount namespace. */
export async function findMounts(layout: StoreLayout): Promise<ReadonlyMap<string, HoldingMount>> {
  const found = new Map<string, HoldingMount>();
  for (const id of (await readdir(layout.runMounts)).filter((name) => MOUNT_ID.test(name))) {
    const mount = await findMount(layout, id);
    if (mount !== undefined) found.set(id, mount);
  }
  return found;
}

async function findMount(layout: StoreLayout, id: string): Promise<HoldingMount | undefined> {
  const mountPoint = mountPointPath(layout, id);
  const here = { mountPoint, namespace: mountNamespace() };
  if (isMounted(here)) return here;
  const record = await readMountRecord(mountDirectory(layout, id));
  const there = record && { mountPoint, namespace: record.namespace };
  return there && isMounted(there) ? there : undefined;
}

/** Unmounts a container for good and runs `action` before anybody can mount it again. */
export async function retireMount(
  layout: StoreLayout,
  id: string,
  action: () => Promise<void>,
): Promise<void> {
  using mount = await lockMount(layout, id, undefined);
  await unmountAll(mountPointPath(layout, id), true);
  await action();
  rmSync(mountDirectory(layout, id), { recursive: true, force: true });
  rmSync(mount.path, { force: true });
}

async function mountCounted(
  layout: StoreLayout,
  id: string,
  describe: (mountPoint: string) => Promise<OverlayMount>,
): Promise<CountedMount> {
  const directory = mountDirectory(layout, id);
  const mountPoint = mountPointPath(layout, id);
  const current = await currentMount(layout, id);
  if (current !== undefined) {
    const count = current.count + 1;
    await writeMountRecord(directory, count, current.mountId);
    return { mountPoint, count };
  }
  const elsewhere = await readMountRecord(directory);
  const holder = elsewhere && findMountElsewhere(elsewhere.namespace, mountPoint);
  if (holder !== undefined) {
    const message = `${mountPoint} is mounted in the mount namespace of process ${holder}`;
    throw new StoreError("ERR_STORE_MOUNT_BUSY", message, {
      hint: "Two mounts of one writable layer would corrupt it: unmount the other first.",
    });
  }
  const mount = await describe(mountPoint);
  mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
  try {
    await mountOverlay(mount);
  } catch (error) {
    throw asMountError(error, mountPoint);
  }
  const mounted = mountsAt(mountPoint).at(-1);
  await writeMountRecord(directory, 1, mounted?.id ?? 0);
  return { mountPoint, count: 1 };
}

async function unmountCounted(
  layout: StoreLayout,
  id: string,
  options: UnmountOptions = {},
): Promise<number> {
  const mountPoint = mountPointPath(layout, id);
  if (!existsSync(mountDirectory(layout, id))) return 0;
  using _mount = await lockMount(layout, id, options);
  const current = await currentMount(layout, id);
  if (current === undefined) {
    rmSync(join(mountDirectory(layout, id), "mount.json"), { force: true });
    return 0;
  }
  if (options.force !== true && current.count > 1) {
    const count = current.count - 1;
    await writeMountRecord(mountDirectory(layout, id), count, current.mountId);
    return count;
  }
  await unmountAll(mountPoint, options.force === true);
  rmSync(join(mountDirectory(layout, id), "mount.json"), { force: true });
  return 0;
}

/** A mount that the kernel knows. Of one that nobody counted, nobody is known to be a user. */
async function currentMount(
  layout: StoreLayout,
  id: string,
): Promise<{ readonly mountId: number; readonly count: number } | undefined> {
  const mounted = mountsAt(mountPointPath(layout, id)).at(-1);
  if (mounted === undefined) return undefined;
  const record = await readMountRecord(mountDirectory(layout, id));
  return { mountId: mounted.id, count: record?.mountId === mounted.id ? record.count : 0 };
}

async function lockMount(
  layout: StoreLayout,
  id: string,
  options: MountOptions | undefined,
): Promise<HeldLock> {
  const path = join(layout.runLocks, `mount-${id}.lock`);
  return await acquireLock(path, "exclusive", { signal: options?.signal });
}

function containerKey(id: string): string {
  if (isContainerID(id)) return id;
  throw noContainer(id);
}

function mountKey(id: string): string {
  const key = id.replace(/^sha256:/, "");
  if (MOUNT_ID.test(key)) return key;
  const message = `"${escapeText(id, 80)}" is neither a container's ID nor an image's`;
  throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message);
}

function noContainer(id: string): StoreError {
  return new StoreError("ERR_STORE_CONTAINER_NOT_FOUND", `no container ${escapeText(id, 80)}`);
}

function mountDirectory(layout: StoreLayout, id: string): string {
  return join(layout.runMounts, id);
}

function mountPointPath(layout: StoreLayout, id: string): string {
  return join(layout.runMounts, id, "merged");
}
