/**
 * The files of the image records.
 *
 * @module
 */
import { lstatSync, utimesSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import {
  algorithmOf,
  encodedOf,
  escapeText,
  hasErrorCode,
  type ImageConfig,
  type JsonValue,
} from "@stowage/content";

import {
  type ImageID,
  type ImageManifestRecord,
  type ImageRecord,
  parseImageRecord,
} from "./image-record.ts";
import { keptSummary } from "./image-summary.ts";
import { keptDescriptor } from "./kept-descriptor.ts";
import { renameNoReplace } from "./linux/file-calls.ts";
import { publishFile, randomName, syncDirectory, writeSyncedFile } from "./publish-file.ts";
import { formatRecord, readRecord, readRecords, type RecordList } from "./record-file.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { imagePath } from "./store-layout.ts";

/** All images of a store, the latest stored first. */
export async function listImages(context: StoreContext): Promise<RecordList<ImageRecord>> {
  const { records, damaged } = await readRecords(
    context.layout.images,
    (entry) => (/^[0-9a-f]{64}$/.test(entry) ? join(entry, "image.json") : undefined),
    readImage,
  );
  return { records: records.toSorted(byAge), damaged };
}

/** The latest stored first. */
export function byAge(one: ImageRecord, other: ImageRecord): number {
  return one.created < other.created ? 1 : -1;
}

/** @throws {@link StoreError} `ERR_STORE_CORRUPT` */
export async function findImage(
  context: StoreContext,
  id: ImageID,
): Promise<ImageRecord | undefined> {
  if (algorithmOf(id) !== "sha256") return undefined;
  return await readImage(join(imagePath(context.layout, id), "image.json"), encodedOf(id));
}

/** For an image that is not there. */
export function noImage(id: ImageID): StoreError {
  return new StoreError("ERR_STORE_IMAGE_NOT_FOUND", `image ${escapeText(id)} is not stored`);
}

/** A record that can be read: another is as good as none, for whoever replaces or removes it. */
export async function soundImage(
  context: StoreContext,
  id: ImageID,
): Promise<ImageRecord | undefined> {
  try {
    return await findImage(context, id);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

/** Writes a record that is new, or that stands for one that can not be read. */
export async function writeImage(context: StoreContext, record: ImageRecord): Promise<void> {
  const { layout } = context;
  const directory = imagePath(layout, record.id);
  if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    const path = join(directory, "image.json");
    const bytes = formatRecord(record);
    await publishFile({ path, bytes, stagingDir: context.stagingDir() });
    // The age of the directory above says whether index.json is stale.
    utimesSync(layout.images, new Date(), new Date());
    return;
  }
  const staged = join(context.stagingDir(), randomName());
  await mkdir(staged, { mode: 0o700 });
  await writeSyncedFile(join(staged, "image.json"), formatRecord(record));
  await syncDirectory(staged);
  renameNoReplace(staged, directory);
  await syncDirectory(layout.images);
}

/** Puts the manifests of `record` before those that are known already. */
export function mergeImages(known: ImageRecord | undefined, record: ImageRecord): ImageRecord {
  if (known === undefined) return record;
  const manifests = [...record.manifests];
  for (const older of known.manifests) {
    if (!manifests.some((manifest) => isSameManifest(manifest, older))) manifests.push(older);
  }
  return { ...record, manifests, created: known.created };
}

/** A record with the summary that follows from its config, as far as that can be read. */
export function withSummary(record: ImageRecord, config: ImageConfig | undefined): ImageRecord {
  const { summary: _, ...rest } = record;
  const summary = config && keptSummary(config);
  return summary === undefined ? rest : { ...rest, summary };
}

export function requireImageID(id: ImageID): void {
  if (algorithmOf(id) === "sha256") return;
  throw new StoreError(
    "ERR_STORE_INVALID_ARGUMENT",
    `${escapeText(id)} can not be an image ID: a config is named by SHA-256`,
  );
}

/**
 * What is kept of a record that somebody brings.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_ARGUMENT` for what would be taken for damage, once
 *   written.
 */
export function readableRecord(brought: ImageRecord): ImageRecord {
  requireImageID(brought.id);
  const { summary: _, ...record } = brought;
  const kept = { ...record, config: keptDescriptor(record.config) };
  try {
    return parseImageRecord(JSON.parse(formatRecord(kept)) as JsonValue);
  } catch (cause) {
    if (cause instanceof StoreError || !(cause instanceof Error)) throw cause;
    const message = `image ${brought.id} can not have such a record: ${escapeText(cause.message)}`;
    throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message, { cause });
  }
}

function isSameManifest(one: ImageManifestRecord, other: ImageManifestRecord): boolean {
  return (
    one.manifest.digest === other.manifest.digest &&
    one.index?.digest === other.index?.digest &&
    one.repository === other.repository
  );
}

async function readImage(path: string, entry: string): Promise<ImageRecord | undefined> {
  return await readRecord(path, (value) => {
    const record = parseImageRecord(value);
    if (record.id !== `sha256:${entry}`) throw new TypeError("it is the record of another image");
    return record;
  });
}
