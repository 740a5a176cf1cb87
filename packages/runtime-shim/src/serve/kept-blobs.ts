import type { ContentStore } from "@stowage/content";
import { RegistryServerError } from "@stowage/registry-server";
import type { BlobStore } from "@stowage/store";

import type { PushLease } from "./push-lease.ts";

/**
 * Blobs that no client removes: the store knows which it needs, a client does not.
 *
 * @param pushes - keeps those that are pushed or about to be referred to; none if nothing is pushed.
 */
export function keepBlobs(blobs: BlobStore, pushes: PushLease | undefined): ContentStore {
  return {
    ...blobs,
    async stat(digest, options) {
      const found = await blobs.stat(digest, options);
      if (found === undefined || pushes === undefined || options?.toRefer !== true) return found;
      await pushes.hold([digest]);
      // It may have gone before it was held.
      return blobs.stat(digest, options);
    },
    async write(descriptor, source, options) {
      await pushes?.hold([descriptor.digest]);
      await blobs.write(descriptor, source, options);
    },
    async remove(digest) {
      const what = `${digest}: the store removes its blobs itself, once no image needs them`;
      throw new RegistryServerError("ERR_SERVER_REFUSED", what);
    },
  };
}
