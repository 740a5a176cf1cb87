import {
  type Descriptor,
  hasErrorCode,
  type ImageConfig,
  MAX_CONFIG_BYTES,
  parseImageConfig,
  readContent,
} from "@stowage/content";

import type { BlobStore } from "./blob-store.ts";

/**
 * Reads the config of an image.
 *
 * @returns `undefined` where it is missing, damaged, or no config.
 * @throws {@link StoreError} `ERR_STORE_TOO_MANY_FILES`, which says nothing of the config.
 */
export async function readImageConfig(
  blobs: BlobStore,
  config: Descriptor,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ImageConfig | undefined> {
  try {
    const bytes = await readContent(blobs, config, { maxBytes: MAX_CONFIG_BYTES, signal });
    return parseImageConfig(bytes);
  } catch (error) {
    signal?.throwIfAborted();
    if (hasErrorCode(error, "ERR_STORE_TOO_MANY_FILES")) throw error;
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
