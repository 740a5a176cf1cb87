/**
 * Takes images out of the store, unless something speaks for them.
 *
 * @module
 */
import { existsSync } from "node:fs";

import { escapeText } from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";
import type { ContainerRecord } from "./container-record.ts";
import { listContainers } from "./container-records.ts";
import { isImageMounted } from "./find-mounts.ts";
import { noteWaste, sweepWaste } from "./garbage.ts";
import type { ImageID, ImageRecord } from "./image-record.ts";
import { noImage, soundImage } from "./image-records.ts";
import type { ImageOptions } from "./image-store.ts";
import { lastUseOf } from "./image-use.ts";
import { dropNames, type ImageName, listNames } from "./name-index.ts";
import { contentOfImages } from "./needs.ts";
import { syncDirectory } from "./publish-file.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { imagePath } from "./store-layout.ts";

/** How {@link ImageStore.remove} and {@link ImageStore.removeAll} go about it. */
export interface RemoveImageOptions extends ImageOptions {
  /**
   * Is asked when nobody can name or store the image any more; where the answer is no, it stays. For
   * whoever has decided by what was true a while ago.
   */
  readonly onlyIf?: ((image: ImageInUse) => boolean) | undefined;
}

/** What speaks for an image. */
export interface ImageInUse {
  readonly id: ImageID;
  /** The newest first. */
  readonly names: readonly ImageName[];
  /** As {@link ImageStore.lastUse}; not there where the record can not be read. */
  readonly lastUse?: number;
}

/** How {@link ImageStore.removeName} and {@link ImageStore.removeNames} go about it. */
export interface RemoveNameOptions extends ImageOptions {
  /** Is asked when nobody can set the name any more; where the answer is no, it stays. */
  readonly onlyIf?: ((name: ImageName) => boolean) | undefined;
}

/** An image that nothing speaks for. */
interface GoingImage {
  readonly id: ImageID;
  readonly record: ImageRecord | undefined;
  readonly names: readonly string[];
}

/**
 * Removes images, for which everything in the store is read once, under one lock. What goes of their
 * content is swept before this resolves.
 *
 * @param ids - Each once.
 * @returns Those that stay, each with the reason.
 */
export async function removeImages(
  context: StoreContext,
  blobs: BlobStore,
  ids: readonly ImageID[],
  options: RemoveImageOptions | undefined,
): Promise<ReadonlyMap<ImageID, StoreError>> {
  const stays = new Map<ImageID, StoreError>();
  const going: GoingImage[] = [];
  const trashed: (string | undefined)[] = [];
  {
    using _gc = await context.lock("gc", "exclusive", options);
    const containers = (await listContainers(context)).records;
    // Nobody can give one a name now: whoever does holds this lock, too.
    const named = Map.groupBy((await listNames(context)).records, ({ imageId }) => imageId);
    for (const id of ids) {
      const record = await soundImage(context, id);
      const names = named.get(id) ?? [];
      const reason =
        (existsSync(imagePath(context.layout, id)) ? undefined : noImage(id)) ??
        (await whyUsed(context, id, containers)) ??
        (isStill(context, { id, names }, record, options?.onlyIf) ? undefined : changed(id));
      if (reason !== undefined) stays.set(id, reason);
      else going.push({ id, record, names: names.map(({ name }) => name) });
    }
    trashed.push(...(await takeOut(context, blobs, going, options)));
  }
  await context.emptyTrash(trashed);
  return stays;
}

/** @returns What the trash is to be emptied of. */
async function takeOut(
  context: StoreContext,
  blobs: BlobStore,
  going: readonly GoingImage[],
  options: RemoveImageOptions | undefined,
): Promise<readonly (string | undefined)[]> {
  if (going.length === 0) return [];
  const { layout } = context;
  const ids = going.map(({ id }) => id);
  const names = going.flatMap((image) => image.names);
  const records = going.flatMap(({ record }) => record ?? []);
  const waste = await noteWaste(context, ids, await contentOfImages(context, blobs, records));
  const trashed: (string | undefined)[] = [];
  {
    using _names = await context.lock("names", "exclusive", options);
    // A name without an image that no note tells about would be taken for damage.
    if (!waste.isNoted) trashed.push(...(await dropNames(context, names)));
    // Without it none of its names means anything: those of an image all go in one step.
    for (const id of ids) trashed.push(context.moveToTrash(imagePath(layout, id)));
    await syncDirectory(layout.images);
    if (waste.isNoted) trashed.push(...(await dropNames(context, names)));
  }
  return [...trashed, ...(await sweepWaste(context, blobs, waste))];
}

async function whyUsed(
  context: StoreContext,
  id: ImageID,
  containers: readonly ContainerRecord[],
): Promise<StoreError | undefined> {
  const users = containers.filter(({ imageId }) => imageId === id);
  if (users.length > 0) {
    const named = users.map((user) => `${user.names[0] ?? ""} (${user.id.slice(0, 12)})`.trim());
    return new StoreError(
      "ERR_STORE_IMAGE_IN_USE",
      `image ${id} is used by ${users.length === 1 ? "container" : "containers"} ${escapeText(named.join(", "), 1024)}`,
      { hint: "Remove the containers first." },
    );
  }
  if (!(await isImageMounted(context.layout, id))) return undefined;
  return new StoreError("ERR_STORE_IMAGE_IN_USE", `image ${id} is mounted`, {
    hint: "Unmount it first.",
  });
}

function isStill(
  context: StoreContext,
  { id, names }: Omit<ImageInUse, "lastUse">,
  record: ImageRecord | undefined,
  onlyIf: RemoveImageOptions["onlyIf"],
): boolean {
  if (onlyIf === undefined) return true;
  const lastUse = record && lastUseOf(context.layout, id, record.created);
  return onlyIf({ id, names, ...(lastUse !== undefined && { lastUse }) });
}

function changed(id: ImageID): StoreError {
  const message = `image ${id} was named or used since it was chosen to be removed`;
  return new StoreError("ERR_STORE_IMAGE_IN_USE", message, { hint: "Look at it, and try again." });
}
