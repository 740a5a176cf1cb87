import {
  type Digest,
  type FetchedManifest,
  type Descriptor,
  parseManifest,
  readContent,
} from "@stowage/content";
import type { ImageStatus } from "@stowage/image-service";
import type { CopySource } from "@stowage/registry";
import { parseReference } from "@stowage/reference";
import type { ImageManifestRecord } from "@stowage/store";

import type { Runtime } from "../runtime.ts";

/** How {@link openStoreSource} opens. */
export interface StoreSourceOptions {
  /** Whether the index that an image was chosen from is wanted, with what the store has of it. */
  readonly withIndex: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An image of the store, with the bytes as they were pulled: its manifest, or the index where that
 * is what the name's digest is of. Until it is disposed of, nothing is collected.
 *
 * @throws {@link @stowage/image-service#ImageError} `ERR_IMAGE_NOT_FOUND`
 */
export async function openStoreSource(
  { store, images }: Pick<Runtime, "images" | "store">,
  image: string,
  { withIndex, signal }: StoreSourceOptions,
): Promise<CopySource> {
  const lease = await store.createLease({ signal });
  try {
    const status = await images.requireImage(image, { signal });
    const record = await store.images.get(status.id);
    const way = chooseWay(record.manifests, status);
    const asksIndex = way.index !== undefined && way.index.digest === digestIn(image);
    const root = (withIndex || asksIndex ? way.index : undefined) ?? way.manifest;
    const fetch = async (
      { digest, mediaType, size }: Descriptor,
      wait: { readonly signal?: AbortSignal | undefined } = {},
    ): Promise<FetchedManifest> => {
      const bytes = await readContent(store.blobs, { digest, mediaType, size }, wait);
      return parseManifest(bytes, mediaType, digest);
    };
    return {
      name: `store:${image}`,
      fetchRoot: (wait) => fetch(root, wait),
      fetchManifest: fetch,
      hasContent: async ({ digest }, wait) => (await store.blobs.stat(digest, wait)) !== undefined,
      openContent: (descriptor, wait) => store.blobs.openContent(descriptor, wait),
      async *referrers() {},
      async findTag() {
        return undefined;
      },
      [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
    };
  } catch (error) {
    await lease[Symbol.asyncDispose]();
    throw error;
  }
}

/** The one that the image's canonical names are of. */
function chooseWay(
  ways: readonly ImageManifestRecord[],
  { canonical, indexCanonical }: ImageStatus,
): ImageManifestRecord {
  const manifest = digestIn(canonical);
  const index = digestIn(indexCanonical);
  const same = ways.filter((way) => way.manifest.digest === manifest);
  const found = same.find((way) => way.index?.digest === index) ?? same[0] ?? ways[0];
  // A record has at least one; the store sees to that.
  return found as ImageManifestRecord;
}

function digestIn(name: string | undefined): Digest | undefined {
  try {
    return name === undefined ? undefined : parseReference(name).digest;
  } catch {
    // An ID is no reference.
    return undefined;
  }
}
