/**
 * The documents of an image, as containers/storage keeps them: files that are named for what they
 * are.
 *
 * @module
 */
import {
  type Descriptor,
  type Digest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  readContent,
} from "@stowage/content";

import type { BlobStore } from "../blob-store.ts";
import { asContentDamage } from "../damaged-content.ts";
import type { ImageRecord } from "../image-record.ts";

/** The item that readers take for the image's manifest. */
const MANIFEST = "manifest";
const PLAIN_NAME = /^[a-z0-9.]+$/;

/** The name of an item's file. */
export function bigDataFileName(key: string): string {
  return PLAIN_NAME.test(key) ? key : `=${Buffer.from(key).toString("base64")}`;
}

/** One item. */
export interface BigData {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

/** The items of an image by their keys. @throws {@link ContentError} Naming the part that is damaged. */
export async function readBigData(
  blobs: BlobStore,
  { config, manifests }: ImageRecord,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, BigData>> {
  const items = new Map<string, BigData>();
  const { digest } = config;
  const read = async (part: Descriptor, what: string, maxBytes: number): Promise<Uint8Array> => {
    try {
      return await readContent(blobs, part, { maxBytes, signal });
    } catch (error) {
      throw asContentDamage(error, `image ${digest}: ${what}`);
    }
  };
  const bytes = await read(config, "its config", MAX_CONFIG_BYTES);
  items.set(digest, { bytes, digest });
  const documents = manifests.flatMap(({ manifest, index }) => [
    manifest,
    ...(index === undefined ? [] : [index]),
  ]);
  for (const document of documents) {
    const key = `${MANIFEST}-${document.digest}`;
    if (items.has(key)) continue;
    const item = {
      bytes: await read(document, "its manifest", MAX_MANIFEST_BYTES),
      digest: document.digest,
    };
    items.set(key, item);
    // The latest stands for the image.
    if (!items.has(MANIFEST)) items.set(MANIFEST, item);
  }
  return items;
}
