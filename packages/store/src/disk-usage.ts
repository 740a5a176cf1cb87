/**
 * What a store takes on the disk, and what of it could be given back.
 *
 * @module
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { type Digest, isDigest } from "@stowage/content";

import { createDiskMeter, type DiskMeter } from "./allocated-bytes.ts";
import type { BlobStore } from "./blob-store.ts";
import type { ImageID, ImageRecord } from "./image-record.ts";
import { listImages } from "./image-records.ts";
import { lastUseOf } from "./image-use.ts";
import { isLayerID, type LayerID } from "./layer-id.ts";
import { liveLeases } from "./lease.ts";
import { contentOfEachImage, contentOfLease, findNeeds, type Needs } from "./needs.ts";
import type { StoreContext } from "./store-context.ts";
import { LINKS_DIRECTORY } from "./store-layout.ts";

/** One kind of things in a store. */
export interface KindUsage {
  readonly count: number;
  /** Allocated on the disk, what `du` shows of it. */
  readonly bytes: number;
}

/** What one image takes on the disk: its blobs and layers. */
export interface ImageUsage {
  readonly id: ImageID;
  readonly bytes: number;
  /** What other images have as well; the rest would be free without this one. */
  readonly sharedBytes: number;
  /** Milliseconds since 1970. */
  readonly lastUse: number;
}

/** What a lease keeps on the disk that outlives its process, such as that of an export. */
export interface KeptUsage {
  /** What it is kept for. */
  readonly purpose: string;
  readonly bytes: number;
  /** What no image has as well. */
  readonly ownBytes: number;
}

/** What `df` shows. */
export interface DiskUsage {
  /** All of the root: the sum of the kinds, and what `du` says. */
  readonly bytes: number;
  readonly blobs: KindUsage;
  readonly layers: KindUsage;
  readonly containers: KindUsage;
  /** Beginnings of downloads. */
  readonly ingest: KindUsage;
  readonly staging: KindUsage;
  readonly trash: KindUsage;
  /** Records of images and names, leases, marks, locks, and the store's own files. */
  readonly records: KindUsage;
  /** What nothing needs, and a collection would remove: blobs and layers. */
  readonly reclaimableBytes: number;
  readonly images: readonly ImageUsage[];
  readonly kept: readonly KeptUsage[];
}

type Kind = "blobs" | "containers" | "ingest" | "layers" | "staging" | "trash";

interface ContentSizes {
  readonly blobs: Map<Digest, number>;
  readonly layers: Map<LayerID, number>;
}

const KINDS: ReadonlySet<string> = new Set<Kind>([
  "blobs",
  "containers",
  "ingest",
  "layers",
  "staging",
  "trash",
]);

/** Walks the whole root, and then asks the records who needs what. */
export async function measureUsage(
  context: StoreContext,
  blobs: BlobStore,
  signal?: AbortSignal,
): Promise<DiskUsage> {
  const { layout } = context;
  const meter = createDiskMeter();
  const sizes: ContentSizes = { blobs: new Map(), layers: new Map() };
  const kinds = new Map<string, KindUsage>();
  let records = { count: 0, bytes: meter.measureAlone(layout.root) };
  for (const name of readdirSync(layout.root)) {
    const path = join(layout.root, name);
    const usage =
      name === "blobs"
        ? await measureBlobs(meter, path, sizes, signal)
        : await measureEach(meter, path, signal, (entry, bytes) => {
            if (name === "layers" && isLayerID(entry)) sizes.layers.set(entry, bytes);
          });
    if (KINDS.has(name)) kinds.set(name, usage);
    else records = { count: records.count + usage.count, bytes: records.bytes + usage.bytes };
  }
  const of = (kind: Kind): KindUsage => kinds.get(kind) ?? { count: 0, bytes: 0 };
  const needs = await findNeeds(context, blobs);
  const unneeded = [
    ...[...sizes.blobs].filter(([digest]) => !needs.all.blobs.has(digest)),
    ...[...sizes.layers].filter(([id]) => !needs.all.layers.has(id)),
  ];
  return {
    bytes: [...kinds.values(), records].reduce((sum, { bytes }) => sum + bytes, 0),
    blobs: of("blobs"),
    layers: of("layers"),
    containers: of("containers"),
    ingest: of("ingest"),
    staging: of("staging"),
    trash: of("trash"),
    records,
    reclaimableBytes:
      needs.veto === undefined ? unneeded.reduce((sum, [, bytes]) => sum + bytes, 0) : 0,
    images: await measureImages(context, blobs, sizes),
    kept: await measureKept(context, needs.byImages, sizes),
  };
}

async function measureBlobs(
  meter: DiskMeter,
  directory: string,
  sizes: ContentSizes,
  signal: AbortSignal | undefined,
): Promise<KindUsage> {
  let count = 0;
  let bytes = meter.measureAlone(directory);
  for (const algorithm of readdirSync(directory)) {
    const path = join(directory, algorithm);
    const usage = await measureEach(meter, path, signal, (name, own) => {
      const digest = `${algorithm}:${name}`;
      if (isDigest(digest)) sizes.blobs.set(digest, own);
    });
    count += usage.count;
    bytes += usage.bytes;
  }
  return { count, bytes };
}

/** A file is one thing; in a directory each entry is, locks and the names of exports aside. */
async function measureEach(
  meter: DiskMeter,
  path: string,
  signal: AbortSignal | undefined,
  note: (name: string, bytes: number) => void,
): Promise<KindUsage> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    return { count: 1, bytes: await meter.measure(path, signal) };
  }
  let bytes = meter.measureAlone(path);
  let count = 0;
  for (const name of readdirSync(path)) {
    signal?.throwIfAborted();
    const own = await meter.measure(join(path, name), signal);
    bytes += own;
    if (!name.endsWith(".lock") && name !== LINKS_DIRECTORY) count += 1;
    note(name, own);
  }
  return { count, bytes };
}

async function measureImages(
  context: StoreContext,
  blobs: BlobStore,
  sizes: ContentSizes,
): Promise<readonly ImageUsage[]> {
  const images = (await listImages(context)).records;
  const contents: { readonly image: ImageRecord; readonly parts: ReadonlyMap<string, number> }[] =
    [];
  const users = new Map<string, number>();
  const each = await contentOfEachImage(context, blobs, images);
  for (const [index, content] of each.entries()) {
    const image = images[index] as ImageRecord;
    const parts = new Map<string, number>([
      ...[...content.blobs.keys()].map((id) => [id, sizes.blobs.get(id) ?? 0] as const),
      ...[...content.layers.keys()].map((id) => [id, sizes.layers.get(id) ?? 0] as const),
    ]);
    for (const id of parts.keys()) users.set(id, (users.get(id) ?? 0) + 1);
    contents.push({ image, parts });
  }
  return contents.map(({ image, parts }) => {
    let bytes = 0;
    let sharedBytes = 0;
    for (const [id, own] of parts) {
      bytes += own;
      if ((users.get(id) ?? 0) > 1) sharedBytes += own;
    }
    const lastUse = lastUseOf(context.layout, image.id, image.created);
    return { id: image.id, bytes, sharedBytes, lastUse };
  });
}

/** Leases that name nothing keep all that there is, and say so where it is collected. */
async function measureKept(
  context: StoreContext,
  byImages: Needs,
  sizes: ContentSizes,
): Promise<readonly KeptUsage[]> {
  const kept: KeptUsage[] = [];
  for (const lease of await liveLeases(context)) {
    if (lease.purpose === undefined || lease.isEverything) continue;
    const { blobs, layers } = await contentOfLease(context, lease);
    const parts = [
      ...[...blobs.keys()].map((id) => [sizes.blobs.get(id), byImages.blobs.has(id)] as const),
      ...[...layers.keys()].map((id) => [sizes.layers.get(id), byImages.layers.has(id)] as const),
    ];
    const sum = (counts: (isOfImage: boolean) => boolean): number =>
      parts.reduce((bytes, [own = 0, isOfImage]) => bytes + (counts(isOfImage) ? own : 0), 0);
    const { purpose } = lease;
    kept.push({ purpose, bytes: sum(() => true), ownBytes: sum((isOfImage) => !isOfImage) });
  }
  return kept;
}
