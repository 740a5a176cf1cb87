import { statfs } from "node:fs/promises";

import type { Descriptor, ImageManifest } from "@stowage/content";
import type { LayerID, Store } from "@stowage/store";

import { ImageError } from "./image-error.ts";
import { findLayers } from "./unpack-layers.ts";

/**
 * What a compressed layer grows to at least, as a rule: no manifest says it. The sizes of common
 * images lie between 2.2 and 3.5; a pull that would fit must not be refused.
 */
const USUAL_GROWTH = 2;

/**
 * Refuses a transfer that can not end well: what has still to come, and what the missing layers
 * unpack to, has to fit on the file system. Others may fill it meanwhile; that is found when it
 * happens.
 *
 * @param ids - Of the layers, base first.
 * @throws {@link ImageError} `ERR_IMAGE_NO_SPACE`
 */
export async function requireSpace(
  store: Store,
  manifest: ImageManifest,
  ids: readonly LayerID[],
): Promise<void> {
  const known = await findLayers(store, ids);
  const blobs = new Map<string, number>();
  const layers = new Map<LayerID, number>();
  for (const [index, blob] of manifest.layers.entries()) {
    const id = ids[index] as LayerID;
    if (known.has(id)) continue;
    layers.set(id, unpackedSize(blob));
    // What an interrupted download has brought is gone on with.
    blobs.set(blob.digest, blob.size - store.blobs.received(blob));
  }
  const download = sum(blobs.values());
  const unpacked = sum(layers.values());
  const { bavail, bsize } = await statfs(store.root);
  const free = bavail * bsize;
  if (download + unpacked <= free) return;
  throw new ImageError(
    "ERR_IMAGE_NO_SPACE",
    `${manifest.config.digest}: ${download} bytes to download and about ${unpacked} unpacked, ${free} are free`,
    {
      hint: `Make room on the file system of ${store.root}: "stowage df" shows what could go, and "stowage gc --max-ingest-age 0s" drops the beginnings of other downloads.`,
    },
  );
}

function unpackedSize({ mediaType, size }: Descriptor): number {
  return /[+.](?:gzip|zstd)$/.test(mediaType) ? size * USUAL_GROWTH : size;
}

function sum(sizes: Iterable<number>): number {
  return [...sizes].reduce((total, size) => total + size, 0);
}
