/**
 * Who needs what: the question that everything which removes content asks first.
 *
 * @module
 */
import { readdirSync } from "node:fs";

import {
  type Descriptor,
  type Digest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  readContent,
} from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";
import { listContainers } from "./container-records.ts";
import type { ImageRecord } from "./image-record.ts";
import { listImages } from "./image-records.ts";
import { isLayerID, type LayerID } from "./layer-id.ts";
import type { LayerRecord } from "./layer-record.ts";
import { listLayers } from "./layer-store.ts";
import { type LeaseScope, liveLeases } from "./lease.ts";
import { findMissingImages, missingImage } from "./missing-images.ts";
import type { StoreContext } from "./store-context.ts";

/** Content, and for each piece of it one of those who need it. */
export interface Needs {
  readonly blobs: ReadonlyMap<Digest, string>;
  readonly layers: ReadonlyMap<LayerID, string>;
}

/** What {@link findNeeds} has found. */
export interface FoundNeeds {
  /** What images, containers and leases need. */
  readonly all: Needs;
  /** What images alone need. */
  readonly byImages: Needs;
  /**
   * Why nothing may be given up, if that is so: a record that can not be read, or is missing, may need
   * anything, and so may the holder of a lease that names nothing.
   */
  readonly veto: string | undefined;
  /** The layers whose records can be read. */
  readonly layers: readonly LayerRecord[];
}

/** Reads all records. To be called under the lock `gc`, exclusively, where it has to stay true. */
export async function findNeeds(context: StoreContext, blobs: BlobStore): Promise<FoundNeeds> {
  const leases = await liveLeases(context);
  const images = await listImages(context);
  const containers = await listContainers(context);
  const layers = (await listLayers(context)).records;
  const marks = createMarks(byID(layers), context);
  await markImages(marks, blobs, images.records);
  const byImages = marks.copy();
  for (const { id, topLayer } of containers.records) {
    if (topLayer !== undefined) marks.stack(topLayer, `container ${id}`);
  }
  for (const lease of leases) markLease(marks, lease);
  const everything = leases.find((lease) => lease.isEverything);
  const missing = [...(await findMissingImages(context))].map((it) => missingImage(...it));
  const [damaged] = [...images.damaged, ...containers.damaged, ...missing];
  return {
    all: marks.copy(),
    byImages,
    veto:
      (everything && `${everything.holder} keeps everything`) ??
      (damaged && `it may be needed, which can not be told: ${damaged.message}`) ??
      marks.broken(),
    layers,
  };
}

/** What images consist of, together, as far as their records and manifests can be read. */
export async function contentOfImages(
  context: StoreContext,
  blobs: BlobStore,
  images: readonly ImageRecord[],
): Promise<Needs> {
  const marks = createMarks(byID((await listLayers(context)).records), context);
  await markImages(marks, blobs, images);
  return marks.copy();
}

/** As {@link contentOfImages}, of each image by itself, in their order. */
export async function contentOfEachImage(
  context: StoreContext,
  blobs: BlobStore,
  images: readonly ImageRecord[],
): Promise<readonly Needs[]> {
  const layers = byID((await listLayers(context)).records);
  const contents: Needs[] = [];
  for (const image of images) {
    const marks = createMarks(layers, context);
    await markImages(marks, blobs, [image]);
    contents.push(marks.copy());
  }
  return contents;
}

/** What a lease keeps, with all that this needs. */
export async function contentOfLease(context: StoreContext, lease: LeaseScope): Promise<Needs> {
  const marks = createMarks(byID((await listLayers(context)).records), context);
  markLease(marks, lease);
  return marks.copy();
}

interface Marks {
  blob(digest: Digest, holder: string): void;
  /** A layer with all below it, and their blobs. */
  stack(top: LayerID, holder: string): void;
  copy(): Needs;
  /** What is below a layer that is needed and can not be read is not known. */
  broken(): string | undefined;
}

type KnownLayers = ReadonlyMap<LayerID, LayerRecord>;

function byID(records: readonly LayerRecord[]): KnownLayers {
  return new Map(records.map((record) => [record.id, record]));
}

function createMarks(known: KnownLayers, { layout }: StoreContext): Marks {
  const blobs = new Map<Digest, string>();
  const layers = new Map<LayerID, string>();
  const blob = (digest: Digest, holder: string): void => {
    if (!blobs.has(digest)) blobs.set(digest, holder);
  };
  return {
    blob,
    stack(top, holder) {
      for (let id: LayerID | undefined = top; id !== undefined && !layers.has(id);) {
        layers.set(id, holder);
        const record = known.get(id);
        if (record !== undefined) blob(record.blob.digest, holder);
        id = record?.parent;
      }
    },
    copy: () => ({ blobs: new Map(blobs), layers: new Map(layers) }),
    broken() {
      const present = new Set(readdirSync(layout.layers).filter((name) => isLayerID(name)));
      for (const [id, holder] of layers) {
        if (known.has(id) || !present.has(id) || holder.startsWith("image ")) continue;
        return `what ${holder} needs can not be told: the record of layer ${id} is damaged`;
      }
      return undefined;
    },
  };
}

async function markImages(
  marks: Marks,
  blobs: BlobStore,
  images: readonly ImageRecord[],
): Promise<void> {
  for (const image of images) {
    const holder = `image ${image.id}`;
    marks.blob(image.config.digest, holder);
    for (const { manifest, index, signatures } of image.manifests) {
      marks.blob(manifest.digest, holder);
      if (index !== undefined) marks.blob(index.digest, holder);
      if (signatures !== undefined) marks.blob(signatures.digest, holder);
      for (const digest of await layersOfManifest(blobs, manifest)) marks.blob(digest, holder);
    }
    for (const id of image.layers) marks.stack(id, holder);
  }
}

function markLease(marks: Marks, lease: LeaseScope): void {
  for (const digest of lease.blobs) marks.blob(digest, lease.holder);
  for (const id of lease.layers) marks.stack(id, lease.holder);
}

async function layersOfManifest(
  blobs: BlobStore,
  manifest: Descriptor,
): Promise<readonly Digest[]> {
  try {
    const bytes = await readContent(blobs, manifest, { maxBytes: MAX_MANIFEST_BYTES });
    const { document } = parseManifest(bytes, manifest.mediaType);
    return document.kind === "manifest" ? document.manifest.layers.map(({ digest }) => digest) : [];
  } catch (error) {
    // Nothing can be read from a damaged manifest; the layers' own records still name their blobs.
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}
