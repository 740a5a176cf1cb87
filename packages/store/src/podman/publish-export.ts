/**
 * Writes what readers of an export find, so that they see all of a change or nothing.
 *
 * @module
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";

import { encodedOf, type JsonValue, parseJsonDocument } from "@stowage/content";

import type { ImageRecord } from "../image-record.ts";
import type { LayerID } from "../layer-id.ts";
import type { LayerRecord } from "../layer-record.ts";
import { removeTree } from "../linux/tree.ts";
import { publishFile, randomName, syncDirectory, writeSyncedFile } from "../publish-file.ts";
import { type BigData, bigDataFileName } from "./big-data.ts";
import type { ExportDirectory } from "./export-directory.ts";
import { podmanImage, podmanLayer } from "./podman-records.ts";
import { lockStamped } from "./stamped-lock.ts";

/** An image on its way out. */
export interface OutgoingImage {
  readonly record: ImageRecord;
  readonly names: readonly string[];
  readonly items: ReadonlyMap<string, BigData>;
}

const LAYERS_FILE = "layers.json";
const IMAGES_FILE = "images.json";
const TAR_SPLIT = ".tar-split.gz";

/** The file of a layer's tar-split. */
export function tarSplitName(id: LayerID): string {
  return `${id}${TAR_SPLIT}`;
}

/** Writes the documents of an image, under their names. */
export async function writeItems(
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
export async function publishRecords(
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
export async function removeStale(
  place: ExportDirectory,
  layers: readonly LayerRecord[],
  images: readonly OutgoingImage[],
): Promise<void> {
  const splits = new Set<string>(layers.map(({ id }) => tarSplitName(id)));
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
