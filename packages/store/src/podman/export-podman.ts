/**
 * Makes images readable for podman, and whatever else reads containers/storage, without a copy: an
 * additional image store whose layers are this store's own.
 *
 * @module
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";

import { encodedOf, escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import type { BlobStore } from "../blob-store.ts";
import type { ImageID, ImageRecord } from "../image-record.ts";
import { findImage, listImages } from "../image-records.ts";
import type { LayerID } from "../layer-id.ts";
import type { LayerRecord } from "../layer-record.ts";
import { listLayers } from "../layer-store.ts";
import {
  createLease,
  type LeaseScope,
  liveLeases,
  releaseLease,
  type ListedLease,
} from "../lease.ts";
import { removeTree } from "../linux/tree.ts";
import { listNames } from "../name-index.ts";
import { publishFile, randomName, syncDirectory, writeSyncedFile } from "../publish-file.ts";
import type { StoreContext } from "../store-context.ts";
import { StoreError } from "../store-error.ts";
import { type BigData, bigDataFileName, readBigData } from "./big-data.ts";
import {
  type ExportDirectory,
  exportPath,
  findExport,
  openExport,
  removeExport,
} from "./export-directory.ts";
import { linkLayer, unlinkLayers } from "./layer-links.ts";
import { podmanImage, podmanLayer } from "./podman-records.ts";
import { splitLayer } from "./split-layer.ts";
import { lockStamped } from "./stamped-lock.ts";

/** What an export to podman is made of. */
export interface ExportPodmanOptions {
  readonly signal?: AbortSignal | undefined;
  /** The images that it has from now on. @defaultValue all */
  readonly images?: readonly ImageID[] | undefined;
}

/** What an export to podman has. */
export interface PodmanExport {
  /** For podman's `additionalimagestore`. */
  readonly directory: string;
  readonly images: readonly ImageID[];
  readonly layers: number;
}

/** An export that is no more. */
export interface RemovedPodmanExport {
  readonly directory: string;
}

/** An image on its way out. */
interface OutgoingImage {
  readonly record: ImageRecord;
  readonly names: readonly string[];
  readonly items: ReadonlyMap<string, BigData>;
}

const PURPOSE = "the export to podman at ";
const LAYERS_FILE = "layers.json";
const IMAGES_FILE = "images.json";
const TAR_SPLIT = ".tar-split.gz";

/** As `Store.exportPodman`. */
export async function exportPodman(
  context: StoreContext,
  blobs: BlobStore,
  directory: string,
  { images, signal }: ExportPodmanOptions,
): Promise<PodmanExport> {
  const path = exportPath(context.layout, directory);
  using _exports = await context.lock("exports", "exclusive", { signal });
  const place = await openExport(context.layout, path);
  const purpose = `${PURPOSE}${path}`;
  const chosen = await chooseImages(context, images);
  const lease = await leaseImages(context, chosen, purpose, signal);
  let isPublishing = false;
  try {
    const stacks = await readStacks(context, chosen, images !== undefined);
    const layers = [
      ...new Map([...stacks.values()].flat().map((layer) => [layer.id, layer])).values(),
    ];
    for (const layer of layers) await makeTarSplit(context, place, layer, signal);
    for (const [, stack] of stacks) {
      for (const [at, layer] of stack.entries()) {
        signal?.throwIfAborted();
        await linkLayer(context, layer, stack.slice(0, at).toReversed());
      }
    }
    const outgoing = await readOutgoing(context, blobs, [...stacks.keys()], signal);
    for (const image of outgoing) await writeItems(place, image);
    isPublishing = true;
    await publishRecords(place, layers, outgoing, signal);
    await removeStale(place, layers, outgoing);
    await endLeases(context, purpose, lease);
    await unlinkLayers(context.layout, await exportedLayers(context));
    return {
      directory: path,
      images: outgoing.map(({ record }) => record.id),
      layers: layers.length,
    };
  } catch (error) {
    // What is written already may need it: the next export ends it.
    if (!isPublishing) await releaseLease(context, lease);
    throw error;
  }
}

/** As `Store.removePodmanExport`. */
export async function removePodmanExport(
  context: StoreContext,
  directory: string,
  signal?: AbortSignal,
): Promise<RemovedPodmanExport> {
  const path = exportPath(context.layout, directory);
  using _exports = await context.lock("exports", "exclusive", { signal });
  const place = findExport(context.layout, path);
  const purpose = `${PURPOSE}${path}`;
  const isKept = (await liveLeases(context)).some((lease) => lease.purpose === purpose);
  if (place === undefined && !isKept) {
    const message = `there is no export at "${escapeText(path)}"`;
    throw new StoreError("ERR_STORE_INVALID_EXPORT", message);
  }
  if (place !== undefined) {
    if (lstatSync(place.layers, { throwIfNoEntry: false })?.isDirectory() === true) {
      await publishRecords(place, [], [], signal);
    }
    await removeExport(place);
  }
  await endLeases(context, purpose, undefined);
  await unlinkLayers(context.layout, await exportedLayers(context));
  return { directory: path };
}

async function chooseImages(
  context: StoreContext,
  ids: readonly ImageID[] | undefined,
): Promise<readonly ImageRecord[]> {
  if (ids === undefined) return (await listImages(context)).records;
  const chosen = new Map<ImageID, ImageRecord>();
  for (const id of ids) {
    const record = await findImage(context, id);
    if (record === undefined) {
      throw new StoreError("ERR_STORE_IMAGE_NOT_FOUND", `image ${escapeText(id)} is not stored`);
    }
    chosen.set(id, record);
  }
  return [...chosen.values()];
}

async function leaseImages(
  context: StoreContext,
  images: readonly ImageRecord[],
  purpose: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const documents = images.flatMap(({ config, manifests }) => [
    config.digest,
    ...manifests.flatMap(({ manifest, index }) => [
      manifest.digest,
      ...(index === undefined ? [] : [index.digest]),
    ]),
  ]);
  await using lease = await createLease(
    context,
    {
      purpose,
      signal,
      blobs: [...new Set(documents)],
      layers: [...new Set(images.flatMap(({ layers }) => layers))],
    },
    async () => {},
  );
  return lease.id;
}

/**
 * The layers of each image, base first, as they are now that nothing can take them any more.
 *
 * @param isNamed - Whether each image was asked for; else one that was removed meanwhile is left out.
 */
async function readStacks(
  context: StoreContext,
  images: readonly ImageRecord[],
  isNamed: boolean,
): Promise<ReadonlyMap<ImageRecord, readonly LayerRecord[]>> {
  const layers = new Map((await listLayers(context)).records.map((layer) => [layer.id, layer]));
  const stacks = new Map<ImageRecord, readonly LayerRecord[]>();
  for (const image of images) {
    if (!isNamed && (await findImage(context, image.id)) === undefined) continue;
    const missing = image.layers.find((id) => !layers.has(id));
    if (missing !== undefined) {
      throw new StoreError(
        "ERR_STORE_LAYER_NOT_FOUND",
        `image ${image.id} can not be exported: layer ${missing} is not stored, or damaged`,
        { hint: "Run fsck --repair, and try again." },
      );
    }
    stacks.set(
      image,
      image.layers.flatMap((id) => layers.get(id) ?? []),
    );
  }
  return stacks;
}

async function makeTarSplit(
  { layout }: StoreContext,
  { layers, staging }: ExportDirectory,
  layer: LayerRecord,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const path = join(layers, `${layer.id}${TAR_SPLIT}`);
  // It is put there whole, and follows from the ID.
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) return;
  const temporary = join(staging, randomName());
  await splitLayer(layout, layer, temporary, signal);
  await rename(temporary, path);
  await syncDirectory(layers);
}

async function readOutgoing(
  context: StoreContext,
  blobs: BlobStore,
  records: readonly ImageRecord[],
  signal: AbortSignal | undefined,
): Promise<readonly OutgoingImage[]> {
  const names = (await listNames(context)).records;
  const outgoing: OutgoingImage[] = [];
  for (const record of records) {
    const items = await readBigData(blobs, record, signal);
    const own = names.filter(({ imageId }) => imageId === record.id).map(({ name }) => name);
    outgoing.push({ record, names: own, items });
  }
  return outgoing;
}

async function writeItems(
  { images, staging }: ExportDirectory,
  { record, items }: OutgoingImage,
): Promise<void> {
  const directory = join(images, encodedOf(record.id));
  const temporary = join(staging, randomName());
  mkdirSync(temporary, { mode: 0o700 });
  for (const [key, { bytes }] of items) {
    await writeSyncedFile(join(temporary, bigDataFileName(key)), bytes);
  }
  await syncDirectory(temporary);
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) {
    await rename(temporary, directory);
    await syncDirectory(images);
    return;
  }
  // A reader may be at it: each file is exchanged by itself.
  for (const key of items.keys()) {
    const name = bigDataFileName(key);
    await rename(join(temporary, name), join(directory, name));
  }
  await syncDirectory(directory);
}

/** Readers see all of it at once; after a crash, no image whose layers are not there. */
async function publishRecords(
  place: ExportDirectory,
  layers: readonly LayerRecord[],
  images: readonly OutgoingImage[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const records = layers.map(podmanLayer);
  const before = readRecords(join(place.layers, LAYERS_FILE)).filter(
    (record) => !layers.some(({ id }) => id === idOf(record)),
  );
  const imageRecords = images.map(({ record, names, items }) => podmanImage(record, names, items));
  using layersLock = await lockStamped(join(place.layers, "layers.lock"), signal);
  using imagesLock = await lockStamped(join(place.images, "images.lock"), signal);
  layersLock.stamp();
  imagesLock.stamp();
  if (before.length > 0) await publish(place, place.layers, LAYERS_FILE, [...records, ...before]);
  else await publish(place, place.layers, LAYERS_FILE, records);
  await publish(place, place.images, IMAGES_FILE, imageRecords);
  if (before.length > 0) await publish(place, place.layers, LAYERS_FILE, records);
}

async function publish(
  { staging }: ExportDirectory,
  directory: string,
  name: string,
  records: readonly object[],
): Promise<void> {
  const bytes = JSON.stringify(records);
  await publishFile({ path: join(directory, name), bytes, stagingDir: staging });
}

function readRecords(path: string): readonly object[] {
  try {
    const value = parseJsonDocument(readFileSync(path));
    return Array.isArray(value) ? value.filter((record) => idOf(record) !== undefined) : [];
  } catch {
    // What can not be read holds nothing that readers could rely upon.
    return [];
  }
}

function idOf(record: JsonValue | object): unknown {
  return typeof record === "object" && record !== null && "id" in record ? record["id"] : undefined;
}

/** Removes what belongs to nothing that is exported. */
async function removeStale(
  place: ExportDirectory,
  layers: readonly LayerRecord[],
  images: readonly OutgoingImage[],
): Promise<void> {
  const splits = new Set(layers.map(({ id }) => `${id}${TAR_SPLIT}`));
  const kept = new Map(images.map(({ record, items }) => [encodedOf(record.id), items]));
  for (const name of readdirSync(place.layers)) {
    if (name.endsWith(TAR_SPLIT) && !splits.has(name)) await removeTree(join(place.layers, name));
  }
  for (const name of readdirSync(place.images)) {
    const items = kept.get(name);
    if (/^[0-9a-f]{64}$/.test(name) && items === undefined) {
      await removeTree(join(place.images, name));
    }
    if (items === undefined) continue;
    const files = new Set([...items.keys()].map(bigDataFileName));
    for (const file of readdirSync(join(place.images, name))) {
      if (!files.has(file)) await removeTree(join(place.images, name, file));
    }
  }
}

/** Ends the leases of an export, but for one. */
async function endLeases(
  context: StoreContext,
  purpose: string,
  but: ListedLease["id"] | undefined,
): Promise<void> {
  for (const lease of await liveLeases(context)) {
    if (lease.purpose === purpose && lease.id !== but) await releaseLease(context, lease.id);
  }
}

/** The layers that an export of this store has, or is about to have. */
async function exportedLayers(context: StoreContext): Promise<ReadonlySet<LayerID>> {
  const isExport = ({ purpose }: LeaseScope): boolean => purpose?.startsWith(PURPOSE) ?? false;
  return new Set((await liveLeases(context)).filter(isExport).flatMap(({ layers }) => layers));
}
