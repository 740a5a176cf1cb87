import { type ContentProvider, parseManifest } from "@stowage/content";
import type { Tag } from "@stowage/reference";
import type { RepositoryClient } from "@stowage/registry";
import type { BuiltImage } from "@stowage/testkit";

/** Pushes an image, or an index with all its images. */
export async function pushBuilt(
  repository: RepositoryClient,
  { blobs, descriptor }: BuiltImage,
  tags: readonly Tag[] = [],
): Promise<void> {
  for (const [digest, { mediaType, bytes }] of blobs) {
    if (digest === descriptor.digest) continue;
    if (/manifest|index/u.test(mediaType)) {
      await repository.pushManifest(parseManifest(bytes, mediaType));
    } else {
      await repository.pushBlob({ mediaType, digest, size: bytes.byteLength }, held(bytes));
    }
  }
  const manifest = blobs.get(descriptor.digest)?.bytes ?? new Uint8Array();
  await repository.pushManifest(parseManifest(manifest, descriptor.mediaType), { tags });
}

/** Delivers these bytes, whatever is asked for. */
export function held(bytes: Uint8Array): ContentProvider {
  return {
    openContent: async function* (_, { offset = 0 } = {}) {
      yield bytes.subarray(offset);
    },
  };
}
