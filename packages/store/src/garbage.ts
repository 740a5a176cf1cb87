/**
 * Removes the content of images that are gone, as far as nothing else needs it.
 *
 * What an image had is written down before its record goes, so that a crash in between, or a lease
 * that is held meanwhile, only puts the removal off. Content that never belonged to a removed image
 * is not touched here.
 *
 * @module
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import {
  type Digest,
  hasErrorCode,
  type JsonValue,
  MAX_MANIFEST_BYTES,
  parseManifest,
  readContent,
} from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";
import { listContainers } from "./container-records.ts";
import type { ImageRecord } from "./image-record.ts";
import { listImages } from "./image-records.ts";
import type { LayerID } from "./layer-id.ts";
import type { LayerRecord } from "./layer-record.ts";
import { listLayers } from "./layer-store.ts";
import { liveLeases } from "./lease.ts";
import { publishFile, randomName, syncDirectory } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath, layerPath } from "./store-layout.ts";

/** Content that something needs, or that nothing may need any more. */
interface ContentSet {
  readonly blobs: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<LayerID>;
}

const WASTE_FILE = /^[0-9a-f]{32}\.json$/;

/** Writes down what an image has, to be removed once the image is. Under the lock `gc`. */
export async function noteWaste(
  context: StoreContext,
  blobs: BlobStore,
  image: ImageRecord,
): Promise<void> {
  const layers = (await listLayers(context)).records;
  await writeNote(context, await contentOf(blobs, [image], layers));
}

/** Whether something noted waits to be removed. */
export function hasWaste(context: StoreContext): boolean {
  return readdirSync(context.layout.trash).some((entry) => WASTE_FILE.test(entry));
}

/**
 * Moves noted content to the trash, as far as nobody needs it. Under the lock `gc`, exclusively.
 *
 * @returns What the trash is to be emptied of.
 */
export async function sweepWaste(
  context: StoreContext,
  blobs: BlobStore,
): Promise<readonly (string | undefined)[]> {
  const notes = readdirSync(context.layout.trash).filter((entry) => WASTE_FILE.test(entry));
  if (notes.length === 0) return [];
  const leases = await liveLeases(context);
  if (leases.some((lease) => lease.isEverything)) return [];
  const images = await listImages(context);
  const containers = await listContainers(context);
  // What a damaged record needs is not known, so nothing can be given up.
  if (images.damaged.length > 0 || containers.damaged.length > 0) return [];
  const layers = (await listLayers(context)).records;
  const tops = [
    ...containers.records.flatMap((container) => container.topLayer ?? []),
    ...leases.flatMap((lease) => lease.layers),
  ];
  const byImages = await contentOf(blobs, images.records, layers);
  const needed = await contentOf(blobs, images.records, layers, tops);
  const leased = new Set([...needed.blobs, ...leases.flatMap((lease) => lease.blobs)]);
  const waste = await readNotes(context, notes);
  const trashed = [
    ...sweepLayers(context, waste.layers, needed.layers, layers),
    ...[...waste.blobs]
      .filter((digest) => !leased.has(digest))
      .map((digest) => context.moveToTrash(blobPath(context.layout, digest))),
  ];
  await syncDirectory(context.layout.layers);
  for (const algorithm of ["sha256", "sha512"]) {
    await syncDirectory(join(context.layout.blobs, algorithm));
  }
  // What a container or a lease keeps is waste again once that is gone.
  await writeNote(context, {
    blobs: new Set([...waste.blobs].filter((id) => leased.has(id) && !byImages.blobs.has(id))),
    layers: new Set(
      [...waste.layers].filter((id) => needed.layers.has(id) && !byImages.layers.has(id)),
    ),
  });
  for (const note of notes) rmSync(join(context.layout.trash, note), { force: true });
  return trashed;
}

async function writeNote(context: StoreContext, { blobs, layers }: ContentSet): Promise<void> {
  if (blobs.size + layers.size === 0) return;
  await publishFile({
    path: join(context.layout.trash, `${randomName()}.json`),
    bytes: formatRecord({ version: 1, blobs: [...blobs], layers: [...layers] }),
    stagingDir: context.stagingDir(),
  });
}

function sweepLayers(
  context: StoreContext,
  waste: ReadonlySet<LayerID>,
  needed: ReadonlySet<LayerID>,
  layers: readonly LayerRecord[],
): readonly (string | undefined)[] {
  const going = new Set([...waste].filter((id) => !needed.has(id)));
  // A layer that belongs to no image yet keeps those below it.
  const staying = layers.filter(({ id }) => !going.has(id)).map(({ id }) => id);
  for (const id of withLower(staying, layers)) going.delete(id);
  return [...going].map((id) => context.moveToTrash(layerPath(context.layout, id)));
}

/** All that images, and stacks of layers under `tops`, consist of. */
async function contentOf(
  store: BlobStore,
  images: readonly ImageRecord[],
  layers: readonly LayerRecord[],
  tops: readonly LayerID[] = [],
): Promise<ContentSet> {
  const blobs = new Set<Digest>();
  for (const image of images) {
    blobs.add(image.config.digest);
    for (const { manifest, index } of image.manifests) {
      blobs.add(manifest.digest);
      if (index !== undefined) blobs.add(index.digest);
      for (const digest of await blobsOfManifest(store, manifest)) blobs.add(digest);
    }
  }
  const ids = withLower([...tops, ...images.flatMap((image) => image.layers)], layers);
  for (const { id, blob } of layers) if (ids.has(id)) blobs.add(blob.digest);
  return { blobs, layers: ids };
}

function withLower(tops: readonly LayerID[], layers: readonly LayerRecord[]): ReadonlySet<LayerID> {
  const parents = new Map(layers.map(({ id, parent }) => [id, parent]));
  const ids = new Set<LayerID>();
  for (const top of tops) {
    for (let id: LayerID | undefined = top; id !== undefined && !ids.has(id);) {
      ids.add(id);
      id = parents.get(id);
    }
  }
  return ids;
}

async function blobsOfManifest(
  store: BlobStore,
  manifest: ImageRecord["config"],
): Promise<readonly Digest[]> {
  try {
    const bytes = await readContent(store, manifest, { maxBytes: MAX_MANIFEST_BYTES });
    const { document } = parseManifest(bytes, manifest.mediaType);
    return document.kind === "manifest" ? document.manifest.layers.map(({ digest }) => digest) : [];
  } catch (error) {
    // Nothing can be read from a damaged manifest; the layers' own records still name their blobs.
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}

async function readNotes(context: StoreContext, notes: readonly string[]): Promise<ContentSet> {
  const blobs = new Set<Digest>();
  const layers = new Set<LayerID>();
  for (const note of notes) {
    try {
      const waste = await readRecord(join(context.layout.trash, note), parseNote);
      for (const digest of waste?.blobs ?? []) blobs.add(digest);
      for (const id of waste?.layers ?? []) layers.add(id);
    } catch (error) {
      if (!hasErrorCode(error, "ERR_STORE_CORRUPT")) throw error;
    }
  }
  return { blobs, layers };
}

function parseNote(value: JsonValue): ContentSet {
  const shape = new RecordShape(value, "waste", ["version", "blobs", "layers"]);
  shape.version(1);
  return { blobs: new Set(shape.digests("blobs")), layers: new Set(shape.layerIDs("layers")) };
}
