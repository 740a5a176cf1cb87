/**
 * When images were used last: by the age of a file beside the record, which costs next to nothing to
 * change and is made durable behind the back of whoever uses the image.
 *
 * @module
 */
import { constants, lstatSync, utimesSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

import { algorithmOf } from "@stowage/content";

import type { ImageID } from "./image-record.ts";
import type { StoreContext } from "./store-context.ts";
import { imagePath, type StoreLayout } from "./store-layout.ts";

const FILE = "last-used";
const COARSE_MS = 60_000;

/**
 * Notes that an image is used now; it may be a minute late. Never fails: that an image could not be
 * noted as used is no reason not to use it.
 */
export function noteUse(context: StoreContext, id: ImageID): void {
  if (algorithmOf(id) !== "sha256") return;
  const path = join(imagePath(context.layout, id), FILE);
  const now = new Date();
  try {
    const known = lstatSync(path, { throwIfNoEntry: false });
    if (known !== undefined && Math.abs(now.getTime() - known.mtimeMs) < COARSE_MS) return;
    if (known === undefined) writeFileSync(path, "", { flag: "wx", mode: 0o600 });
    utimesSync(path, now, now);
    context.inBackground(syncFile(path));
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
  }
}

/** Milliseconds since 1970; when it was stored, for an image that was never used since. */
export function lastUseOf(layout: StoreLayout, id: ImageID, stored: string): number {
  const file = lstatSync(join(imagePath(layout, id), FILE), { throwIfNoEntry: false });
  const known = Math.max(file?.mtimeMs ?? 0, Date.parse(stored));
  // A clock that was wrong once must not keep an image for ever.
  return Math.min(known, Date.now());
}

async function syncFile(path: string): Promise<void> {
  try {
    // Whoever closes the store waits for this, and nobody for what is no file.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    await file.sync();
  } catch (error) {
    // The image may have been removed meanwhile; and a lost note makes an image look older, no more.
    if (!(error instanceof Error && "code" in error)) throw error;
  }
}
