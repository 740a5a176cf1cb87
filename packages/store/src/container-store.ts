import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { type ContainerRecord, isContainerID } from "./container-record.ts";
import { listContainers, noContainer, readContainerOf } from "./container-records.ts";
import type { ImageID } from "./image-record.ts";
import { noImage } from "./image-records.ts";
import { noteUse } from "./image-use.ts";
import type { LayerID } from "./layer-id.ts";
import type { LayerStore } from "./layer-store.ts";
import { renameNoReplace } from "./linux/file-calls.ts";
import { copyDirectoryMetadata, removeTree } from "./linux/tree.ts";
import { retireMount } from "./mount.ts";
import { publishFile, randomName, syncDirectory, writeSyncedFile } from "./publish-file.ts";
import { formatRecord } from "./record-file.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { containerPath, imagePath } from "./store-layout.ts";
import { reportFailures } from "./system-failure.ts";

/** How containers are changed. */
export interface ContainerOptions {
  readonly signal?: AbortSignal | undefined;
}

/** How a container is removed. */
export interface RemoveContainerOptions extends ContainerOptions {
  /**
   * Runs, where the container is there, when nobody can create another any more, and before anything
   * is changed; if it throws, the container stays. It may read containers, and nothing else of them.
   */
  readonly check?: (() => Promise<void>) | undefined;
}

/** A container to be created. */
export interface NewContainer {
  /** 64 lower-case hex digits. @defaultValue random */
  readonly id?: string | undefined;
  /** Names that no other container has. */
  readonly names: readonly string[];
  readonly imageId?: ImageID | undefined;
  /** What its writable layer lies on. */
  readonly topLayer?: LayerID | undefined;
  readonly metadata: string;
  /**
   * Fills the work directory, at `path` until then, before the container is there. It has to be
   * durable when this resolves; if it throws, there is no container.
   */
  readonly prepare?: ((path: string) => Promise<void>) | undefined;
}

/** All containers that can be read, and what can not. */
export interface ContainerList {
  /** The oldest first. */
  readonly containers: readonly ContainerRecord[];
  /** One error for each record that is damaged. */
  readonly damaged: readonly StoreError[];
}

/** Containers: records with a writable layer and two directories each. */
export interface ContainerStore {
  /**
   * Creates a container, or nothing.
   *
   * @throws {@link StoreError} `ERR_STORE_DUPLICATE_NAME`, `ERR_STORE_DUPLICATE_ID`;
   *   `ERR_STORE_IMAGE_NOT_FOUND`, `ERR_STORE_LAYER_NOT_FOUND`; `ERR_STORE_INVALID_ARGUMENT` for an
   *   ID or a name of the wrong form.
   */
  create(container: NewContainer, options?: ContainerOptions): Promise<ContainerRecord>;
  /**
   * @param nameOrId - An ID, a name, or at least 3 digits that one ID alone begins with.
   * @throws {@link StoreError} `ERR_STORE_AMBIGUOUS_ID`; `ERR_STORE_CORRUPT` for the ID of a record
   *   that can not be read.
   */
  find(nameOrId: string): Promise<ContainerRecord | undefined>;
  /** @throws {@link StoreError} `ERR_STORE_CONTAINER_NOT_FOUND`, and as {@link ContainerStore.find} */
  get(nameOrId: string): Promise<ContainerRecord>;
  list(): Promise<ContainerList>;
  /** @throws {@link StoreError} `ERR_STORE_CONTAINER_NOT_FOUND` */
  setMetadata(id: string, metadata: string, options?: ContainerOptions): Promise<ContainerRecord>;
  /** Unmounts a container and removes all that belongs to it. What is not there is removed already. */
  remove(id: string, options?: RemoveContainerOptions): Promise<void>;
  /** The directory that lives as long as the container. */
  workDir(id: string): string;
  /** The directory that is gone after a reboot. */
  runDir(id: string): string;
  /**
   * Makes the run directory where it is missing, and answers its path.
   *
   * @throws {@link StoreError} `ERR_STORE_CONTAINER_NOT_FOUND`: it would be nobody's.
   */
  ensureRunDir(id: string, options?: ContainerOptions): Promise<string>;
}

const MAX_NAME_LENGTH = 4096;
const PREFIX = /^[0-9a-f]{3,63}$/;

/** @param onRemove - Is called when a container is gone. */
export function createContainerStore(
  context: StoreContext,
  layers: LayerStore,
  onRemove: () => Promise<void>,
): ContainerStore {
  const { layout } = context;
  const runDir = (id: string): string => join(layout.runContainers, requireID(id), "userdata");
  const store: ContainerStore = {
    async create(container, options) {
      const id = container.id ?? randomBytes(32).toString("hex");
      const record = recordOf(id, container);
      return await reportFailures("the container can not be created", async () => {
        using _gc = await context.lock("gc", "shared", options);
        using _containers = await context.lock("containers", "exclusive", options);
        await requireUnique(context, record);
        await requireParts(context, layers, record);
        const staged = await stageContainer(context, layers, record, container.prepare);
        renameNoReplace(staged, containerPath(layout, id));
        await syncDirectory(layout.containers);
        if (record.imageId !== undefined) noteUse(context, record.imageId);
        return record;
      });
    },
    async find(nameOrId) {
      if (isContainerID(nameOrId)) {
        const record = await readContainerOf(context, nameOrId);
        if (record !== undefined) return record;
      }
      const { records } = await listContainers(context);
      const named = records.find(({ names }) => names.includes(nameOrId));
      if (named !== undefined || !PREFIX.test(nameOrId)) return named;
      const found = records.filter(({ id }) => id.startsWith(nameOrId));
      if (found.length > 1) {
        const message = `"${nameOrId}" is the beginning of ${found.length} container IDs`;
        throw new StoreError("ERR_STORE_AMBIGUOUS_ID", message, { hint: "Give more digits." });
      }
      return found[0];
    },
    async get(nameOrId) {
      const record = await store.find(nameOrId);
      if (record !== undefined) return record;
      throw noContainer(nameOrId);
    },
    async list() {
      const { records, damaged } = await listContainers(context);
      return { containers: records, damaged };
    },
    async setMetadata(id, metadata, options) {
      return await reportFailures(`container ${escapeText(id)} can not be changed`, async () => {
        using _containers = await context.lock("containers", "exclusive", options);
        const record = isContainerID(id) ? await readContainerOf(context, id) : undefined;
        if (record === undefined) throw noContainer(id);
        const changed = { ...record, metadata };
        await publishFile({
          path: join(containerPath(layout, id), "container.json"),
          bytes: formatRecord(changed),
          stagingDir: context.stagingDir(),
        });
        return changed;
      });
    },
    async remove(id, options) {
      if (!isContainerID(id)) return;
      options?.signal?.throwIfAborted();
      await reportFailures(`container ${id} can not be removed`, () =>
        removeContainer(context, id, options),
      );
      await onRemove();
    },
    workDir: (id) => join(containerPath(layout, requireID(id)), "userdata"),
    runDir,
    async ensureRunDir(id, options) {
      const path = runDir(id);
      await reportFailures(path, async () => {
        // Whoever removes a container holds it, and with it goes the directory.
        using _containers = await context.lock("containers", "shared", options);
        if (!existsSync(containerPath(layout, id))) throw noContainer(id);
        await mkdir(path, { recursive: true, mode: 0o700 });
      });
      return path;
    },
  };
  return store;
}

function recordOf(id: string, container: NewContainer): ContainerRecord {
  requireID(id);
  const { names, imageId, topLayer, metadata } = container;
  for (const name of names) requireName(name);
  return {
    version: 1,
    id,
    names: [...new Set(names)],
    ...(imageId !== undefined && { imageId }),
    ...(topLayer !== undefined && { topLayer }),
    metadata,
    created: new Date().toISOString(),
  };
}

async function requireUnique(context: StoreContext, record: ContainerRecord): Promise<void> {
  if (existsSync(containerPath(context.layout, record.id))) {
    throw new StoreError("ERR_STORE_DUPLICATE_ID", `there is a container ${record.id} already`);
  }
  for (const other of (await listContainers(context)).records) {
    const name = record.names.find((wanted) => other.names.includes(wanted) || other.id === wanted);
    if (name === undefined && !other.names.includes(record.id)) continue;
    throw new StoreError(
      "ERR_STORE_DUPLICATE_NAME",
      `the name ${escapeText(name ?? record.id)} belongs to container ${other.id}`,
    );
  }
}

async function requireParts(
  context: StoreContext,
  layers: LayerStore,
  { imageId, topLayer }: ContainerRecord,
): Promise<void> {
  if (imageId !== undefined && !existsSync(imagePath(context.layout, imageId))) {
    throw noImage(imageId);
  }
  if (topLayer !== undefined) await layers.get(topLayer);
}

async function stageContainer(
  context: StoreContext,
  layers: LayerStore,
  record: ContainerRecord,
  prepare: NewContainer["prepare"],
): Promise<string> {
  const staged = join(context.stagingDir(), randomName());
  await mkdir(staged, { mode: 0o700 });
  try {
    const upper = join(staged, "upper");
    await mkdir(upper, { mode: 0o755 });
    for (const name of ["work", "userdata"]) await mkdir(join(staged, name), { mode: 0o700 });
    if (record.topLayer !== undefined) {
      // An overlay shows the root of its topmost directory.
      copyDirectoryMetadata(layers.diffPath(record.topLayer), upper, Buffer.alloc(0));
    }
    await prepare?.(join(staged, "userdata"));
    await writeSyncedFile(join(staged, "container.json"), formatRecord(record));
    for (const name of ["upper", "work", "userdata", "."]) await syncDirectory(join(staged, name));
    return staged;
  } catch (error) {
    await rm(staged, { recursive: true, force: true });
    throw error;
  }
}

/** It goes in one step, before what tells its state: it never seems to be what it was not. */
async function removeContainer(
  context: StoreContext,
  id: string,
  { check, signal }: RemoveContainerOptions = {},
): Promise<void> {
  const { layout } = context;
  const imageId = await imageOf(context, id);
  let trashed: string | undefined;
  await retireMount(layout, id, signal, async (unmount) => {
    using _containers = await context.lock("containers", "exclusive", { signal });
    if (check !== undefined && existsSync(containerPath(layout, id))) await check();
    await unmount();
    trashed = context.moveToTrash(containerPath(layout, id));
    if (trashed !== undefined) await syncDirectory(layout.containers);
    await removeTree(join(layout.runContainers, id));
  });
  if (imageId !== undefined) noteUse(context, imageId);
  await context.emptyTrash([trashed]);
}

/** A record that can not be read is removed all the same. */
async function imageOf(context: StoreContext, id: string): Promise<ImageID | undefined> {
  try {
    return (await readContainerOf(context, id))?.imageId;
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

function requireID(id: string): string {
  if (isContainerID(id)) return id;
  const message = `"${escapeText(id, 80)}" is not a container ID: it takes 64 lower-case hex digits`;
  throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message);
}

function requireName(name: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (name !== "" && name.length <= MAX_NAME_LENGTH && !/[\u0000-\u001f\u007f]/.test(name)) return;
  const message = `"${escapeText(name)}" can not be the name of a container`;
  throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message);
}
