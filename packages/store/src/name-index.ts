import { createHash } from "node:crypto";
import { join } from "node:path";

import type { JsonValue } from "@stowage/content";

import type { ImageID } from "./image-record.ts";
import { publishFile, syncDirectory } from "./publish-file.ts";
import { formatRecord, readRecord, readRecords, type RecordList } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import type { StoreContext } from "./store-context.ts";

/** One name of an image. */
export interface ImageName {
  readonly name: string;
  readonly imageId: ImageID;
  /** Grows with every name that is set in the store, so that the newest has the highest. */
  readonly generation: number;
}

/** All names, the newest first. */
export async function listNames(context: StoreContext): Promise<RecordList<ImageName>> {
  const { records, damaged } = await readRecords(context.layout.names, fileOfEntry, readName);
  return { records: records.toSorted((one, other) => other.generation - one.generation), damaged };
}

/** What one name points at. */
export async function readNameOf(
  context: StoreContext,
  name: string,
): Promise<ImageName | undefined> {
  const entry = encodeName(name);
  return await readName(join(context.layout.names, entry), entry);
}

/** What the name in one file points at. @throws {@link StoreError} `ERR_STORE_CORRUPT` */
export function readNameEntry(
  context: StoreContext,
  entry: string,
): Promise<ImageName | undefined> {
  return readName(join(context.layout.names, entry), entry);
}

/** Points a name at an image, whatever it pointed at before. To be called under the lock. */
export async function writeName(
  context: StoreContext,
  name: string,
  imageId: ImageID,
): Promise<void> {
  const { records } = await listNames(context);
  const generation = (records[0]?.generation ?? 0) + 1;
  await publishFile({
    path: join(context.layout.names, encodeName(name)),
    bytes: formatRecord({ version: 1, name, imageId, generation }),
    stagingDir: context.stagingDir(),
  });
}

/** Drops names. To be called under the lock. */
export async function dropNames(
  context: StoreContext,
  names: readonly string[],
): Promise<readonly (string | undefined)[]> {
  const trashed = names.map((name) =>
    context.moveToTrash(join(context.layout.names, encodeName(name))),
  );
  if (trashed.some((path) => path !== undefined)) await syncDirectory(context.layout.names);
  return trashed;
}

/** The file of a name. */
export function encodeName(name: string): string {
  return `${createHash("sha256").update(name).digest("hex")}.json`;
}

function fileOfEntry(entry: string): string | undefined {
  return /^[0-9a-f]{64}\.json$/.test(entry) ? entry : undefined;
}

async function readName(path: string, entry: string): Promise<ImageName | undefined> {
  return await readRecord(path, (value) => {
    const record = parseName(value);
    if (encodeName(record.name) !== entry) throw new TypeError("it is the record of another name");
    return record;
  });
}

function parseName(value: JsonValue): ImageName {
  const shape = new RecordShape(value, "name", ["version", "name", "imageId", "generation"]);
  shape.version(1);
  return {
    name: shape.string("name"),
    imageId: shape.digest("imageId"),
    generation: shape.count("generation"),
  };
}
