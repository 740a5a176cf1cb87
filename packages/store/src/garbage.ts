/**
 * Removes the content of images that are gone, as far as nothing else needs it.
 *
 * What they had is written down before its record goes, so that a crash in between, or a lease
 * that is held meanwhile, only puts the removal off.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

import type { BlobStore } from "./blob-store.ts";
import type { ImageID } from "./image-record.ts";
import type { LayerID } from "./layer-id.ts";
import { dropNames, listNames } from "./name-index.ts";
import { findNeeds, type FoundNeeds, type Needs } from "./needs.ts";
import { syncDirectory } from "./publish-file.ts";
import { tryRemoveFile } from "./remove-file.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath, imagePath, layerPath } from "./store-layout.ts";
import { listWasteNotes, readWasteNotes, type Waste, writeWasteNote } from "./waste-notes.ts";

/**
 * Writes down what is to be removed once its images are. Under the lock `gc`.
 *
 * @returns What that is, and whether it is noted, for which a disk may be too full.
 */
export async function noteWaste(
  context: StoreContext,
  images: readonly ImageID[],
  content: Needs,
): Promise<Waste & { readonly isNoted: boolean }> {
  const waste = { blobs: new Set(content.blobs.keys()), layers: new Set(content.layers.keys()) };
  const isNoted = await writeWasteNote(context, { ...waste, images: new Set(images) });
  return { ...waste, isNoted };
}

/** Whether something noted waits to be removed. */
export function hasWaste(context: StoreContext): boolean {
  return listWasteNotes(context).length > 0;
}

/**
 * Moves noted content to the trash, as far as nobody needs it, and the names that a removed image
 * left. Under the lock `gc`, exclusively, and not under `names`.
 *
 * @param more - What could not be noted, perhaps, and is waste as well.
 * @returns What the trash is to be emptied of.
 */
export async function sweepWaste(
  context: StoreContext,
  blobs: BlobStore,
  more: Waste = { blobs: new Set(), layers: new Set() },
): Promise<readonly (string | undefined)[]> {
  const notes = listWasteNotes(context);
  if (notes.length === 0 && more.blobs.size + more.layers.size === 0) return [];
  const noted = await readWasteNotes(notes);
  const names = await dropNamesOf(context, noted.images);
  const needs = await findNeeds(context, blobs);
  if (needs.veto !== undefined) {
    // An image that is stored again while the rest has to wait is none that is to be removed.
    if (noted.images.size > 0 && (await writeWasteNote(context, { ...noted, images: new Set() }))) {
      for (const note of notes) tryRemoveFile(note);
    }
    return names;
  }
  const waste = { blobs: noted.blobs.union(more.blobs), layers: noted.layers.union(more.layers) };
  const trashed = [
    ...names,
    ...sweepLayers(context, waste.layers, needs),
    ...[...waste.blobs]
      .filter((digest) => !needs.all.blobs.has(digest))
      .map((digest) => context.moveToTrash(blobPath(context.layout, digest))),
  ];
  await syncContent(context);
  const { all, byImages } = needs;
  const isHeld = <ID>(id: ID, by: ReadonlyMap<ID, string>, images: ReadonlyMap<ID, string>) =>
    by.has(id) && !images.has(id);
  // What a container or a lease keeps is waste again once that is gone.
  await writeWasteNote(context, {
    blobs: new Set([...waste.blobs].filter((id) => isHeld(id, all.blobs, byImages.blobs))),
    layers: new Set([...waste.layers].filter((id) => isHeld(id, all.layers, byImages.layers))),
    images: new Set(),
  });
  for (const note of notes) tryRemoveFile(note);
  return trashed;
}

/** Makes it durable that blobs and layers are gone. */
export async function syncContent({ layout }: StoreContext): Promise<void> {
  await syncDirectory(layout.layers);
  for (const algorithm of ["sha256", "sha512"]) await syncDirectory(join(layout.blobs, algorithm));
}

/** Whoever removed an image may have ended before it came to its names, which mean nothing now. */
async function dropNamesOf(
  context: StoreContext,
  images: ReadonlySet<ImageID>,
): Promise<readonly (string | undefined)[]> {
  const gone = new Set([...images].filter((id) => !existsSync(imagePath(context.layout, id))));
  if (gone.size === 0) return [];
  using _names = await context.lock("names", "exclusive");
  const left = (await listNames(context)).records.filter(({ imageId }) => gone.has(imageId));
  return await dropNames(
    context,
    left.map(({ name }) => name),
  );
}

function sweepLayers(
  context: StoreContext,
  waste: ReadonlySet<LayerID>,
  { all, layers }: FoundNeeds,
): readonly (string | undefined)[] {
  const going = new Set([...waste].filter((id) => !all.layers.has(id)));
  const parents = new Map(layers.map(({ id, parent }) => [id, parent]));
  // A layer that belongs to no image yet keeps those below it.
  for (const { id: top } of layers) {
    if (waste.has(top)) continue;
    for (let id: LayerID | undefined = top; id !== undefined; id = parents.get(id)) {
      going.delete(id);
    }
  }
  return [...going].map((id) => context.moveToTrash(layerPath(context.layout, id)));
}
