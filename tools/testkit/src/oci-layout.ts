import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { algorithmOf, encodedOf, MEDIA_TYPE } from "@stowage/content";

import type { BuiltImage } from "./image-builder.ts";

/**
 * Writes images into a new OCI image layout, each under the name that it is given.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
export async function writeOciLayout(
  directory: string,
  images: Readonly<Record<string, BuiltImage>>,
): Promise<void> {
  for (const { blobs } of Object.values(images)) {
    for (const [digest, { bytes }] of blobs) {
      const path = join(directory, "blobs", algorithmOf(digest), encodedOf(digest));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    }
  }
  const manifests = Object.entries(images).map(([name, { descriptor }]) => ({
    ...descriptor,
    annotations: { "org.opencontainers.image.ref.name": name },
  }));
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests };
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "index.json"), JSON.stringify(index));
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}
