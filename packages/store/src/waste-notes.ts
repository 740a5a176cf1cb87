/**
 * Notes in the trash of what is to be removed, so that a crash only puts the removal off.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { type Digest, hasErrorCode, type JsonValue } from "@stowage/content";

import type { ImageID } from "./image-record.ts";
import type { LayerID } from "./layer-id.ts";
import { publishFile, randomName } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import type { StoreContext } from "./store-context.ts";

/** Content that nothing may need any more. */
export interface Waste {
  readonly blobs: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<LayerID>;
}

/** What one note says, or all of them. */
export interface WasteNote extends Waste {
  /** Images that were to be removed with it. */
  readonly images: ReadonlySet<ImageID>;
}

const WASTE_FILE = /^[0-9a-f]{32}\.json$/;

/** The files of the notes, in the trash. */
export function listWasteNotes({ layout }: StoreContext): readonly string[] {
  return readdirSync(layout.trash)
    .filter((entry) => WASTE_FILE.test(entry))
    .map((entry) => join(layout.trash, entry));
}

/**
 * @returns Whether it is noted: on a full disk, removing goes first, since it is what makes room, and
 *   what is too long for a record is none.
 */
export async function writeWasteNote(
  context: StoreContext,
  { blobs, layers, images }: WasteNote,
): Promise<boolean> {
  if (blobs.size + layers.size + images.size === 0) return true;
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
    return true;
  } catch (error) {
    // A collection finds what a note would have told.
    if (hasErrorCode(error, "ENOSPC", "EDQUOT", "ERR_STORE_LIMIT_EXCEEDED")) return false;
    throw error;
  }
}

/** All that the notes say; one that can not be read says nothing. */
export async function readWasteNotes(notes: readonly string[]): Promise<WasteNote> {
  const blobs = new Set<Digest>();
  const layers = new Set<LayerID>();
  const images = new Set<ImageID>();
  for (const note of notes) {
    try {
      const waste = await readRecord(note, parseNote);
      for (const digest of waste?.blobs ?? []) blobs.add(digest);
      for (const id of waste?.layers ?? []) layers.add(id);
      for (const id of waste?.images ?? []) images.add(id);
    } catch (error) {
      if (!hasErrorCode(error, "ERR_STORE_CORRUPT")) throw error;
    }
  }
  return { blobs, layers, images };
}

function parseNote(value: JsonValue): WasteNote {
  const shape = new RecordShape(value, "waste", ["version", "blobs", "layers", "images"]);
  shape.version(1);
  return {
    blobs: new Set(shape.digests("blobs")),
    layers: new Set(shape.layerIDs("layers")),
    images: new Set(shape.has("images") ? shape.digests("images") : []),
  };
}
