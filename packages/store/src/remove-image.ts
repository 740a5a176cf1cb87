/**
 * Takes an image out of the store, unless something speaks for it.
 *
 * @module
 */
import { existsSync } from "node:fs";

import { escapeText } from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";
import { listContainers } from "./container-records.ts";
import { isImageMounted } from "./find-mounts.ts";
import { noteWaste, sweepWaste } from "./garbage.ts";
import type { ImageID, ImageRecord } from "./image-record.ts";
import { noImage, soundImage } from "./image-records.ts";
import type { ImageOptions } from "./image-store.ts";
import { lastUseOf } from "./image-use.ts";
import { dropNames, type ImageName, listNames } from "./name-index.ts";
import { contentOfImage } from "./needs.ts";
import { syncDirectory } from "./publish-file.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { imagePath } from "./store-layout.ts";

/** How {@link ImageStore.remove} goes about it. */
export interface RemoveImageOptions extends ImageOptions {
  /**
   * Is asked when nobody can name or store the image any more; where the answer is no, it stays. For
   * whoever has decided by what was true a while ago.
   */
  readonly onlyIf?: ((image: ImageInUse) => boolean) | undefined;
}

/** What speaks for an image. */
export interface ImageInUse {
  /** The newest first. */
  readonly names: readonly ImageName[];
  /** As {@link ImageStore.lastUse}; not there where the record can not be read. */
  readonly lastUse?: number;
}

/** How {@link ImageStore.removeName} goes about it. */
export interface RemoveNameOptions extends ImageOptions {
  /** Is asked when nobody can set the name any more; where the answer is no, it stays. */
  readonly onlyIf?: ((name: ImageName) => boolean) | undefined;
}

/** Removes an image. What is removed of its content is swept before this resolves. */
export async function removeImage(
  context: StoreContext,
  blobs: BlobStore,
  id: ImageID,
  options: RemoveImageOptions | undefined,
): Promise<void> {
  const { layout } = context;
  const trashed: (string | undefined)[] = [];
  {
    using _gc = await context.lock("gc", "exclusive", options);
    if (!existsSync(imagePath(layout, id))) throw noImage(id);
    await requireUnused(context, id);
    const record = await soundImage(context, id);
    // Nobody can give it a name now: whoever does holds this lock, too.
    const named = (await listNames(context)).records.filter(({ imageId }) => imageId === id);
    if (options?.onlyIf !== undefined) requireStill(context, id, record, named, options.onlyIf);
    const content = record && (await contentOfImage(context, blobs, record));
    const waste = await noteWaste(context, id, content);
    {
      using _names = await context.lock("names", "exclusive", options);
      const names = named.map(({ name }) => name);
      // A name without an image that no note tells about would be taken for damage.
      if (!waste.isNoted) trashed.push(...(await dropNames(context, names)));
      // Without it none of its names means anything: they all go in one step.
      trashed.push(context.moveToTrash(imagePath(layout, id)));
      await syncDirectory(layout.images);
      if (waste.isNoted) trashed.push(...(await dropNames(context, names)));
    }
    trashed.push(...(await sweepWaste(context, blobs, waste)));
  }
  await context.emptyTrash(trashed);
}

async function requireUnused(context: StoreContext, id: ImageID): Promise<void> {
  const containers = (await listContainers(context)).records;
  const users = containers.filter(({ imageId }) => imageId === id);
  if (users.length > 0) {
    const named = users.map((user) => `${user.names[0] ?? ""} (${user.id.slice(0, 12)})`.trim());
    throw new StoreError(
      "ERR_STORE_IMAGE_IN_USE",
      `image ${id} is used by ${users.length === 1 ? "container" : "containers"} ${escapeText(named.join(", "), 1024)}`,
      { hint: "Remove the containers first." },
    );
  }
  if (await isImageMounted(context.layout, id)) {
    throw new StoreError("ERR_STORE_IMAGE_IN_USE", `image ${id} is mounted`, {
      hint: "Unmount it first.",
    });
  }
}

function requireStill(
  context: StoreContext,
  id: ImageID,
  record: ImageRecord | undefined,
  names: readonly ImageName[],
  onlyIf: NonNullable<RemoveImageOptions["onlyIf"]>,
): void {
  const lastUse = record && lastUseOf(context.layout, id, record.created);
  if (onlyIf({ names, ...(lastUse !== undefined && { lastUse }) })) return;
  const message = `image ${id} was named or used since it was chosen to be removed`;
  throw new StoreError("ERR_STORE_IMAGE_IN_USE", message, { hint: "Look at it, and try again." });
}
