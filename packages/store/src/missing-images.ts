/**
 * Images whose records are gone, though something still says that they are here.
 *
 * A removal of ours leaves no such thing: what it has begun is noted in the trash before the record
 * goes, or else its names go first.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { escapeText, parseDigest } from "@stowage/content";

import { listContainers } from "./container-records.ts";
import type { ImageID } from "./image-record.ts";
import { listNames } from "./name-index.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { blobPath, imagePath, type StoreLayout } from "./store-layout.ts";
import { listWasteNotes, readWasteNotes } from "./waste-notes.ts";

/** Images without a record, each with what says that it is here, for people. */
export type MissingImages = ReadonlyMap<ImageID, string>;

/** Needs no lock: an image that somebody removes or stores meanwhile is not missing. */
export async function findMissingImages(context: StoreContext): Promise<MissingImages> {
  const suspects = await findSuspects(context);
  if (suspects.size === 0) return suspects;
  const { images: leaving } = await readWasteNotes(listWasteNotes(context));
  // Whoever has removed one since has taken its names before the note.
  const still = await findSuspects(context);
  return new Map([...still].filter(([id]) => suspects.has(id) && !leaving.has(id)));
}

/** What to tell of one. */
export function missingImage(id: ImageID, holder: string): StoreError {
  return new StoreError(
    "ERR_STORE_CORRUPT",
    `the record of image ${id} is missing, though ${holder}: fsck --repair writes it anew`,
    { hint: "Run fsck --repair, or pull the image again: only what is missing is fetched." },
  );
}

/** Whether there is a record, be it damaged. */
export function hasRecord(layout: StoreLayout, id: ImageID): boolean {
  return existsSync(join(imagePath(layout, id), "image.json"));
}

async function findSuspects(context: StoreContext): Promise<Map<ImageID, string>> {
  const { layout } = context;
  const suspects = new Map<ImageID, string>();
  const suspect = (id: ImageID, holder: string): void => {
    if (!suspects.has(id) && !hasRecord(layout, id)) suspects.set(id, holder);
  };
  for (const { name, imageId } of (await listNames(context)).records) {
    suspect(imageId, `${escapeText(name)} is a name of it`);
  }
  for (const { id, imageId } of (await listContainers(context)).records) {
    // Without a config there is nothing to write a record from, and the container has its layers.
    if (imageId === undefined || !existsSync(blobPath(layout, imageId))) continue;
    suspect(imageId, `container ${id} is of it`);
  }
  for (const entry of readdirSync(layout.images)) {
    if (!/^[0-9a-f]{64}$/.test(entry)) continue;
    suspect(parseDigest(`sha256:${entry}`), "it has a directory");
  }
  return suspects;
}
