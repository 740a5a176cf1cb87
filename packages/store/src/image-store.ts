import { encodedOf, escapeText } from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";
import { syncContent } from "./garbage.ts";
import { refreshIndex, refreshIndexIfRoom } from "./image-layout-index.ts";
import type { ImageID, ImageRecord } from "./image-record.ts";
import {
  findImage,
  listImages,
  mergeImages,
  noImage,
  requireImageID,
  readableRecord,
  soundImage,
  withSummary,
  writeImage,
} from "./image-records.ts";
import { lastUseOf, noteUse } from "./image-use.ts";
import type { LayerStore } from "./layer-store.ts";
import { findMissingImages, hasRecord, missingImage } from "./missing-images.ts";
import { dropNames, type ImageName, listNames, readNameOf, writeName } from "./name-index.ts";
import { removeImages, type RemoveImageOptions, type RemoveNameOptions } from "./remove-image.ts";
import { readImageConfig } from "./read-image-config.ts";
import { listNamesOfImages, listSettled, settledName } from "./settled-names.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { reportFailures } from "./system-failure.ts";

/** How images are changed. */
export interface ImageOptions {
  readonly signal?: AbortSignal | undefined;
}

/** All images that can be read, and what can not. */
export interface ImageList {
  /** The latest stored first. */
  readonly images: readonly ImageRecord[];
  /** Their names, the newest first. */
  readonly names: readonly ImageName[];
  /** One error for each record of an image, or of a name, that is damaged or missing. */
  readonly damaged: readonly StoreError[];
}

/** Images: records of what belongs together, and the names that point at them. */
export interface ImageStore {
  /**
   * Stores a record, whose blobs and layers have to be in the store. Where the image is known, the
   * manifests of the record are put before those that it had. The summary is read from the config.
   * Durable when it resolves.
   *
   * @throws {@link StoreError} `ERR_STORE_BLOB_NOT_FOUND`, `ERR_STORE_LAYER_NOT_FOUND` when something
   *   is missing, or was removed meanwhile; `ERR_STORE_INVALID_ARGUMENT` for a record that could not
   *   be read again, such as one without a manifest.
   */
  put(record: ImageRecord, options?: ImageOptions): Promise<void>;
  /** @throws {@link StoreError} `ERR_STORE_IMAGE_NOT_FOUND`, `ERR_STORE_CORRUPT` */
  get(id: ImageID): Promise<ImageRecord>;
  /** @throws {@link StoreError} `ERR_STORE_CORRUPT` */
  find(id: ImageID): Promise<ImageRecord | undefined>;
  list(): Promise<ImageList>;
  /**
   * The one image whose ID begins so.
   *
   * @param prefix - At least 3 hex digits, with or without `sha256:`; with fewer, none is found.
   * @throws {@link StoreError} `ERR_STORE_AMBIGUOUS_ID` when several do.
   */
  findByPrefix(prefix: string): Promise<ImageID | undefined>;
  /**
   * Removes an image with its names, and what it alone needed: now, or when the last lease ends.
   *
   * @throws {@link StoreError} `ERR_STORE_IMAGE_NOT_FOUND`; `ERR_STORE_IMAGE_IN_USE` naming the
   *   containers that use it, or where it is mounted, or since `onlyIf` said no.
   */
  remove(id: ImageID, options?: RemoveImageOptions): Promise<void>;
  /**
   * As {@link remove}, of many images, which takes little longer than to remove one. Others may use
   * the store in between.
   *
   * @returns Those that stay, each with the error that {@link remove} would have thrown.
   */
  removeAll(
    ids: readonly ImageID[],
    options?: RemoveImageOptions,
  ): Promise<ReadonlyMap<ImageID, StoreError>>;
  /**
   * Gives a name to an image, and takes it from the one that had it. Durable when it resolves.
   *
   * @throws {@link StoreError} `ERR_STORE_IMAGE_NOT_FOUND`; `ERR_STORE_INVALID_ARGUMENT` for a name
   *   that is empty, too long, or has control characters.
   */
  setName(name: string, id: ImageID, options?: ImageOptions): Promise<void>;
  /**
   * The image of a name.
   *
   * @throws {@link StoreError} `ERR_STORE_CORRUPT` when its record is missing.
   */
  resolveName(name: string): Promise<ImageID | undefined>;
  /** Resolves to whether there was such a name. */
  removeName(name: string, options?: RemoveNameOptions): Promise<boolean>;
  /** As {@link removeName}, of many. Resolves to those that are gone. */
  removeNames(names: readonly string[], options?: RemoveNameOptions): Promise<readonly string[]>;
  /** When an image was last pulled, mounted, or used by a container: milliseconds since 1970. */
  lastUse(image: ImageRecord): number;
  /** Notes that an image is used now, by something that the store does not see, such as a push. */
  noteUse(id: ImageID): void;
  /** The newest first. */
  namesOf(id: ImageID): Promise<readonly string[]>;
  /** The newest first. */
  allNames(): Promise<readonly ImageName[]>;
}

const MAX_NAME_LENGTH = 4096;
const MIN_PREFIX_LENGTH = 3;
// Under one lock, for which others wait meanwhile.
const REMOVED_AT_A_TIME = 256;

export function createImageStore(
  context: StoreContext,
  blobs: BlobStore,
  layers: LayerStore,
): ImageStore {
  const { layout } = context;
  const exists = (id: ImageID): boolean => hasRecord(layout, id);
  const isToGo = async (name: string, onlyIf: RemoveNameOptions["onlyIf"]): Promise<boolean> => {
    if (onlyIf === undefined) return true;
    const found = await readNameOf(context, name);
    return found !== undefined && onlyIf(found);
  };
  const store: ImageStore = {
    async put(brought, options) {
      const record = readableRecord(brought);
      await reportFailures(`image ${record.id} can not be stored`, async () => {
        // What was found here may be another process's, which has not come to sync it yet.
        await syncContent(context);
        using _gc = await context.lock("gc", "shared", options);
        await requireContent(blobs, layers, record);
        const config = await readImageConfig(blobs, record.config, options);
        using _images = await context.lock("images", "exclusive", options);
        const merged = mergeImages(await soundImage(context, record.id), record);
        await writeImage(context, withSummary(merged, config));
        noteUse(context, record.id);
      });
      await refreshIndex(context);
    },
    async get(id) {
      const record = await store.find(id);
      if (record !== undefined) return record;
      throw noImage(id);
    },
    find: (id) => findImage(context, id),
    async list() {
      const { images, names, hasStrays, ...damaged } = await listSettled(context);
      // To look for more takes as long as the list itself.
      const missing = hasStrays ? [...(await findMissingImages(context))] : [];
      return {
        images,
        names,
        damaged: [
          ...damaged.damagedImages,
          ...missing.map(([id, holder]) => missingImage(id, holder)),
          ...damaged.damagedNames,
        ],
      };
    },
    async findByPrefix(prefix) {
      const hex = prefix.replace(/^sha256:/, "");
      if (hex.length < MIN_PREFIX_LENGTH || !/^[0-9a-f]{1,64}$/.test(hex)) return undefined;
      const { records } = await listImages(context);
      const found = records.filter(({ id }) => encodedOf(id).startsWith(hex));
      if (found.length > 1) {
        const message = `"${hex}" is the beginning of ${found.length} image IDs`;
        throw new StoreError("ERR_STORE_AMBIGUOUS_ID", message, { hint: "Give more digits." });
      }
      return found[0]?.id;
    },
    async remove(id, options) {
      const error = (await store.removeAll([id], options)).get(id);
      if (error !== undefined) throw error;
    },
    async removeAll(given, options) {
      const ids = [...new Set(given)];
      ids.forEach(requireImageID);
      const what = ids.length === 1 ? `image ${ids[0]}` : `${ids.length} images`;
      const stays = new Map<ImageID, StoreError>();
      await reportFailures(`${what} can not be removed`, async () => {
        for (let at = 0; at < ids.length; at += REMOVED_AT_A_TIME) {
          const some = ids.slice(at, at + REMOVED_AT_A_TIME);
          const kept = await removeImages(context, blobs, some, options);
          for (const [id, reason] of kept) stays.set(id, reason);
        }
      });
      if (stays.size < ids.length) await refreshIndexIfRoom(context);
      return stays;
    },
    async setName(name, id, options) {
      requireName(name);
      requireImageID(id);
      await reportFailures(`the name ${escapeText(name)} can not be stored`, async () => {
        using _gc = await context.lock("gc", "shared", options);
        if (!exists(id)) throw noImage(id);
        using _names = await context.lock("names", "exclusive", options);
        await writeName(context, name, id);
      });
      await refreshIndex(context);
    },
    async resolveName(name) {
      const found = await settledName(context, name);
      if (found === undefined || exists(found.imageId)) return found?.imageId;
      const holder = (await findMissingImages(context)).get(found.imageId);
      if (holder !== undefined) throw missingImage(found.imageId, holder);
      return undefined;
    },
    async removeName(name, options) {
      return (await store.removeNames([name], options)).length > 0;
    },
    async removeNames(names, options) {
      const what =
        names.length > 1 ? `${names.length} names` : `the name ${escapeText(names[0] ?? "")}`;
      const gone = await reportFailures(`${what} can not be removed`, async () => {
        using _names = await context.lock("names", "exclusive", options);
        const going = [];
        for (const name of names) {
          if (await isToGo(name, options?.onlyIf)) going.push(name);
        }
        const trashed = await dropNames(context, going);
        await context.emptyTrash(trashed);
        return going.filter((_, index) => trashed[index] !== undefined);
      });
      if (gone.length > 0) await refreshIndexIfRoom(context);
      return gone;
    },
    lastUse: (image) => lastUseOf(layout, image.id, image.created),
    noteUse: (id) => noteUse(context, id),
    async namesOf(id) {
      const { records } = await listNames(context);
      return records.filter(({ imageId }) => imageId === id).map(({ name }) => name);
    },
    allNames: () => listNamesOfImages(context),
  };
  return store;
}

async function requireContent(
  blobs: BlobStore,
  layers: LayerStore,
  record: ImageRecord,
): Promise<void> {
  const parts = record.manifests.flatMap(({ manifest, index, signatures }) =>
    [manifest, index, signatures].filter((part) => part !== undefined),
  );
  for (const { digest, size } of [record.config, ...parts]) {
    const found = await blobs.stat(digest);
    if (found?.size === size) continue;
    const problem = found ? `stored with ${found.size} bytes instead of ${size}` : "not stored";
    throw new StoreError("ERR_STORE_BLOB_NOT_FOUND", `blob ${digest} is ${problem}`);
  }
  for (const id of record.layers) await layers.get(id);
}

function requireName(name: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (name !== "" && name.length <= MAX_NAME_LENGTH && !/[\u0000-\u001f\u007f]/.test(name)) return;
  const message = `"${escapeText(name)}" can not be the name of an image`;
  throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message);
}
