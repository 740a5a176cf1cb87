import type { ContentStore } from "@stowage/content";
import { RegistryServerError } from "@stowage/registry-server";
import type { BlobStore } from "@stowage/store";

/** Blobs that no client removes: the store knows which it needs, a client does not. */
export function keepBlobs(blobs: BlobStore): ContentStore {
  return {
    ...blobs,
    async remove(digest) {
      const what = `${digest}: the store removes its blobs itself, once no image needs them`;
      throw new RegistryServerError("ERR_SERVER_REFUSED", what);
    },
  };
}
