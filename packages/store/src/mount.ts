/**
 * Mounts of containers and images, counted across processes.
 *
 * A count is kept in a file under a lock; whether there is a mount at all is for the kernel's table
 * to say. So a process may die at any moment: the mount stays, is found, and is never made twice.
 *
 * @module
 */
import { closeSync, existsSync, mkdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";

import { encodedOf, escapeText } from "@stowage/content";

import { isContainerID } from "./container-record.ts";
import { noContainer, readContainerOf } from "./container-records.ts";
import { MOUNT_ID, mountDirectory, mountPointPath } from "./find-mounts.ts";
import { formatIdMap, type FormattedIdMap, type IdMap } from "./id-map.ts";
import type { ImageID } from "./image-record.ts";
import { findImage, noImage, requireImageID } from "./image-records.ts";
import { noteUse } from "./image-use.ts";
import type { LayerStore } from "./layer-store.ts";
import { mountOverlay, type OverlayMount } from "./linux/mount-api.ts";
import { mountIdAt } from "./linux/mount-table.ts";
import { removeTree } from "./linux/tree.ts";
import { openUserNamespace } from "./linux/user-namespace.ts";
import { lowerDirectories } from "./lower-directories.ts";
import { requireMountedNowhere, requireUnused } from "./mount-exclusive.ts";
import { lockContainerMount, lockImageMount } from "./mount-locks.ts";
import { readMountRecord, writeMountRecord } from "./mount-record.ts";
import { findMountElsewhere } from "./mount-users.ts";
import { tryRemoveFile } from "./remove-file.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { containerPath, type StoreLayout } from "./store-layout.ts";
import { asMountError, unmountAll } from "./unmount-all.ts";

/** How something is mounted. */
export interface MountOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * For a container in a user namespace: files seem to belong to the users that those of the image
   * are on this machine. What is written is kept with the image's own, so that a container may be
   * mounted with another map next time. All that mount it at one time have to give the same.
   *
   * @defaultValue the users of the image are those of the machine
   */
  readonly idMap?: IdMap | undefined;
}

/** How something is unmounted. */
export interface UnmountOptions {
  readonly signal?: AbortSignal | undefined;
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
   *   the kernel takes; `ERR_STORE_MOUNT_BUSY` when its writable layer is in use by another mount, or
   *   it is mounted with another `idMap`; `ERR_STORE_MOUNT_FAILED` when the kernel refuses.
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

export function createMountStore(context: StoreContext, layers: LayerStore): MountStore {
  const { layout } = context;
  return {
    async mountContainer(id, options) {
      const key = containerKey(id);
      if (!existsSync(containerPath(layout, key))) throw noContainer(id);
      // A layer that is being put in order is not mounted in the middle of it.
      using _gc = await context.lock("gc", "shared", options);
      using mount = await lockContainerMount(layout, key, options);
      if (!existsSync(containerPath(layout, key))) {
        // Whoever removed it meanwhile has removed the lock's file, which was made again just now.
        tryRemoveFile(mount.path);
        throw noContainer(id);
      }
      return await mountCounted(layout, key, options, async (mountPoint) => {
        const record = await readContainerOf(context, key);
        if (record === undefined) throw noContainer(id);
        if (record.imageId !== undefined) noteUse(context, record.imageId);
        const lower = await lowerDirectories(layout, layers, record.topLayer, 1);
        const path = containerPath(layout, key);
        const upper = { upperDir: join(path, "upper"), workDir: join(path, "work") };
        await requireUnused(layout, upper);
        return { lower, upper, mountPoint };
      });
    },
    async unmountContainer(id, options) {
      const key = containerKey(id);
      if (!existsSync(mountDirectory(layout, key))) return 0;
      using mount = await lockContainerMount(layout, key, options);
      const left = await unmountCounted(layout, key, options);
      if (!existsSync(containerPath(layout, key))) tryRemoveFile(mount.path);
      return left;
    },
    async mountImage(id, options) {
      requireImageID(id);
      // An image that is being removed is not mounted any more, and the other way round.
      using _gc = await context.lock("gc", "shared", options);
      using _mount = await lockImageMount(layout, encodedOf(id), options);
      return await mountCounted(layout, encodedOf(id), options, async (mountPoint) => {
        const record = await findImage(context, id);
        if (record === undefined) throw noImage(id);
        noteUse(context, id);
        return {
          lower: await lowerDirectories(layout, layers, record.layers.at(-1), 2),
          mountPoint,
        };
      });
    },
    async unmountImage(id, options) {
      const key = encodedOf(id);
      if (!existsSync(mountDirectory(layout, key))) return 0;
      using _mount = await lockImageMount(layout, key, options);
      return await unmountCounted(layout, key, options);
    },
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
      return mountIdAt(path) === undefined ? undefined : path;
    },
  };
}

/**
 * Runs `action` while nobody can mount a container, which is to be gone when that resolves.
 *
 * @param action - Calls `unmount`, which leaves nothing of a mount, before it gives the container up.
 */
export async function retireMount(
  layout: StoreLayout,
  id: string,
  signal: AbortSignal | undefined,
  action: (unmount: () => Promise<void>) => Promise<void>,
): Promise<void> {
  using mount = await lockContainerMount(layout, id, { signal });
  await action(async () => {
    await unmountAll(mountPointPath(layout, id), true);
    await removeTree(mountDirectory(layout, id));
  });
  tryRemoveFile(mount.path);
}

async function mountCounted(
  layout: StoreLayout,
  id: string,
  { idMap }: MountOptions = {},
  describe: (mountPoint: string) => Promise<OverlayMount>,
): Promise<CountedMount> {
  const directory = mountDirectory(layout, id);
  const mountPoint = mountPointPath(layout, id);
  const owners = idMap && formatIdMap(idMap);
  const current = await currentMount(layout, id);
  if (current !== undefined) {
    if (current.owners !== owners?.text) {
      throw new StoreError("ERR_STORE_MOUNT_BUSY", `${mountPoint} is mounted with other owners`, {
        hint: "Give the ID map that it was mounted with, or unmount it first.",
      });
    }
    const count = current.count + 1;
    await writeMountRecord(directory, { count, mountId: current.mountId, owners: owners?.text });
    return { mountPoint, count };
  }
  await requireMountedNowhere(directory, mountPoint);
  const mount = await describe(mountPoint);
  mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
  try {
    if (owners === undefined) await mountOverlay(mount);
    else await mountMapped(layout, mount, owners);
  } catch (error) {
    throw asMountError(error, mountPoint);
  }
  const mountId = mountIdAt(mountPoint) ?? 0;
  try {
    await writeMountRecord(directory, { count: 1, mountId, owners: owners?.text });
  } catch (error) {
    // Whoever is told that it failed will not unmount it.
    await unmountAll(mountPoint, true);
    throw error;
  }
  return { mountPoint, count: 1 };
}

async function mountMapped(
  layout: StoreLayout,
  mount: OverlayMount,
  { uids, gids, rootUid, rootGid }: FormattedIdMap,
): Promise<void> {
  const userNamespace = await openUserNamespace(uids, gids);
  try {
    const upper = mount.upper === undefined ? [] : [dirname(mount.upper.upperDir)];
    const trees = [...upper, layout.layers, layout.runMounts];
    await mountOverlay({ ...mount, owners: { userNamespace, rootUid, rootGid, trees } });
  } finally {
    closeSync(userNamespace);
  }
}

async function unmountCounted(
  layout: StoreLayout,
  id: string,
  options: UnmountOptions = {},
): Promise<number> {
  const directory = mountDirectory(layout, id);
  const current = await currentMount(layout, id);
  if (current !== undefined && options.force !== true && current.count > 1) {
    const count = current.count - 1;
    const { mountId, owners } = current;
    await writeMountRecord(directory, { count, mountId, owners });
    return count;
  }
  const mountPoint = mountPointPath(layout, id);
  if (current !== undefined) await unmountAll(mountPoint, options.force === true);
  else {
    const elsewhere = await readMountRecord(directory);
    const holder = elsewhere && findMountElsewhere(elsewhere.namespace, mountPoint);
    // It is unmounted where it is mounted; without the record, nobody would know of it until then.
    if (holder !== undefined) return elsewhere?.count ?? 0;
  }
  tryRemoveFile(join(directory, "mount.json"));
  return 0;
}

interface CurrentMount {
  readonly mountId: number;
  readonly count: number;
  readonly owners: string | undefined;
}

/** A mount that the kernel knows. Of one that nobody counted, nobody is known to be a user. */
async function currentMount(layout: StoreLayout, id: string): Promise<CurrentMount | undefined> {
  const mountId = mountIdAt(mountPointPath(layout, id));
  if (mountId === undefined) return undefined;
  const record = await readMountRecord(mountDirectory(layout, id));
  const known = record?.mountId === mountId ? record : undefined;
  return { mountId, count: known?.count ?? 0, owners: known?.owners };
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
