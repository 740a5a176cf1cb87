/**
 * Removes the content of an image that is gone, as far as nothing else needs it.
 *
 * What an image had is written down before its record goes, so that a crash in between, or a lease
 * that is held meanwhile, only puts the removal off.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { type Digest, hasErrorCode, type JsonValue } from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";
import type { ImageID } from "./image-record.ts";
import type { LayerID } from "./layer-id.ts";
import { dropNames, listNames } from "./name-index.ts";
import { findNeeds, type FoundNeeds, type Needs } from "./needs.ts";
import { publishFile, randomName, syncDirectory } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import { tryRemoveFile } from "./remove-file.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath, imagePath, layerPath } from "./store-layout.ts";

/** Content that nothing may need any more. */
export interface Waste {
  readonly blobs: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<LayerID>;
}

interface Note extends Waste {
  /** Images that were to be removed with it. */
  readonly images: ReadonlySet<ImageID>;
}

const WASTE_FILE = /^[0-9a-f]{32}\.json$/;

/** Writes down what is to be removed once its image is. Under the lock `gc`. */
export async function noteWaste(
  context: StoreContext,
  image: ImageID,
  content: Needs | undefined,
): Promise<Waste> {
  const waste = { blobs: new Set(content?.blobs.keys()), layers: new Set(content?.layers.keys()) };
  await writeNote(context, { ...waste, images: new Set([image]) });
  return waste;
}

/** Whether something noted waits to be removed. */
export function hasWaste(context: StoreContext): boolean {
  return readdirSync(context.layout.trash).some((entry) => WASTE_FILE.test(entry));
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
  const notes = readdirSync(context.layout.trash).filter((entry) => WASTE_FILE.test(entry));
  if (notes.length === 0 && more.blobs.size + more.layers.size === 0) return [];
  const noted = await readNotes(context, notes);
  const names = await dropNamesOf(context, noted.images);
  const needs = await findNeeds(context, blobs);
  if (needs.veto !== undefined) return names;
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
  await writeNote(context, {
    blobs: new Set([...waste.blobs].filter((id) => isHeld(id, all.blobs, byImages.blobs))),
    layers: new Set([...waste.layers].filter((id) => isHeld(id, all.layers, byImages.layers))),
    images: new Set(),
  });
  for (const note of notes) tryRemoveFile(join(context.layout.trash, note));
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
  const gone = [...images].filter((id) => !existsSync(imagePath(context.layout, id)));
  if (gone.length === 0) return [];
  using _names = await context.lock("names", "exclusive");
  const left = (await listNames(context)).records.filter(({ imageId }) => gone.includes(imageId));
  return await dropNames(
    context,
    left.map(({ name }) => name),
  );
}

async function writeNote(context: StoreContext, { blobs, layers, images }: Note): Promise<void> {
  if (blobs.size + layers.size + images.size === 0) return;
  try {
    await publishFile({
      path: join(context.layout.trash, `${randomName()}.json`),
      bytes: formatRecord({
        version: 1,
        blobs: [...blobs],
        layers: [...layers],
        images: [...images],
      }),
      stagingDir: context.stagingDir(),
    });
  } catch (error) {
    // On a full disk, removing is what makes room. A collection finds what a note would have told.
    if (!hasErrorCode(error, "ENOSPC", "EDQUOT")) throw error;
  }
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

async function readNotes(context: StoreContext, notes: readonly string[]): Promise<Note> {
  const blobs = new Set<Digest>();
  const layers = new Set<LayerID>();
  const images = new Set<ImageID>();
  for (const note of notes) {
    try {
      const waste = await readRecord(join(context.layout.trash, note), parseNote);
      for (const digest of waste?.blobs ?? []) blobs.add(digest);
      for (const id of waste?.layers ?? []) layers.add(id);
      for (const id of waste?.images ?? []) images.add(id);
    } catch (error) {
      if (!hasErrorCode(error, "ERR_STORE_CORRUPT")) throw error;
    }
  }
  return { blobs, layers, images };
}

function parseNote(value: JsonValue): Note {
  const shape = new RecordShape(value, "waste", ["version", "blobs", "layers", "images"]);
  shape.version(1);
  return {
    blobs: new Set(shape.digests("blobs")),
    layers: new Set(shape.layerIDs("layers")),
    images: new Set(shape.has("images") ? shape.digests("images") : []),
  };
}
