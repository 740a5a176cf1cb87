import { gunzipSync, zstdDecompressSync } from "node:zlib";

import {
  createMemoryContentStore,
  digestOf,
  MEDIA_TYPE,
  parseImageConfig,
  parseManifest,
} from "@stowage/content";
import { buildImage, buildIndex, createTar, putImage } from "@stowage/testkit";
import { expect, test } from "vitest";

const ENTRIES = [{ name: "a", content: "b" }];

test.for(["oci", "docker"] as const)(
  "builds an image of %s words that the strict parser reads, and that names its bytes",
  (mediaTypes) => {
    const compressions = ["gzip", "zstd", "none"] as const;
    const layers = compressions.map((compression) => ({ entries: ENTRIES, compression }));
    const image = buildImage({ layers, mediaTypes, config: { Cmd: ["sh"] } });
    const { document } = parseManifest(image.manifest, image.descriptor.mediaType);
    if (document.kind !== "manifest") return expect.fail("is an index");
    for (const { digest, size, mediaType } of [image.descriptor, ...document.manifest.layers]) {
      const blob = image.blobs.get(digest);
      expect([blob && digestOf(blob.bytes), blob?.bytes.byteLength]).toEqual([digest, size]);
      expect(blob?.mediaType).toBe(mediaType);
    }
    const [gzip, zstd, none] = document.manifest.layers.map(
      ({ digest }) => image.blobs.get(digest)?.bytes ?? new Uint8Array(),
    );
    const tar = createTar(ENTRIES);
    for (const unpacked of [gunzipSync(gzip ?? ""), zstdDecompressSync(zstd ?? ""), none])
      expect(unpacked).toEqual(tar);
    const config = parseImageConfig(
      image.blobs.get(document.manifest.config.digest)?.bytes ?? new Uint8Array(),
    );
    expect(config).toMatchObject({
      config: { Cmd: ["sh"] },
      rootfs: { diff_ids: [digestOf(tar), digestOf(tar), digestOf(tar)] },
    });
  },
);

test("builds an index with all that it leads to, and puts it into a store", async () => {
  const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
  const images = platforms.map((platform) => buildImage({ layers: [], platform }));
  const index = buildIndex(images);
  expect(index.descriptor.mediaType).toBe(MEDIA_TYPE.imageIndex);
  expect(parseManifest(index.manifest).document).toMatchObject({
    index: { manifests: platforms.map((platform) => ({ platform })) },
  });
  const store = createMemoryContentStore();
  expect(await putImage(store, index)).toEqual(index.descriptor);
  const held = await Array.fromAsync(store.walk());
  expect(new Set(held.map(({ digest }) => digest))).toEqual(new Set(index.blobs.keys()));
});
