import { readdirSync } from "node:fs";
import { join } from "node:path";

import type { Descriptor } from "@stowage/content";
import type { ImageRecord } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { ENTRIES, neighbour } from "./support/harmed-store.ts";
import { makeImage, openWorld, recordOf, storeImage } from "./support/store-world.ts";

const image = makeImage(ENTRIES);

describe("a record", () => {
  test("keeps of a descriptor what names its content, and nothing of what else a manifest says there", async () => {
    await using world = await openWorld();
    const { store } = world;
    // A manifest of the longest kind that is read: each URL takes four times as long in a record.
    const more = { urls: Array.from({ length: 1_000_000 }, () => ""), annotations: { a: "b" } };
    const wordy = <Named extends Descriptor>(named: Named): Named => ({ ...named, ...more });
    const layers = image.layers.map((layer) => ({ ...layer, blob: wordy(layer.blob) }));
    await storeImage(store, { ...image, config: wordy(image.config), layers }, "app:1");
    const stored = await store.images.get(image.id);
    expect(stored.config).toEqual(image.config);
    expect((await store.layers.get(stored.layers[0] as never)).blob).toEqual(image.layers[0]?.blob);
    expect((await store.check({ deep: true })).damages).toEqual([]);
  });

  test("that could not be read again is not written", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, image, "app:1");
    const before = await store.images.get(image.id);
    const record = recordOf(image);
    const [manifest = { manifest: image.manifest }] = record.manifests;
    const other = neighbour().config;
    for (const wrong of [
      { ...record, manifests: [] },
      { ...record, created: "yesterday" },
      { ...record, config: other },
      { ...record, version: 2 as 1 },
      { ...record, manifests: [{ manifest: { ...manifest.manifest, size: -1 } }] },
      { ...record, manifests: [{ ...manifest, repository: 5 as never }] },
    ] satisfies ImageRecord[]) {
      const put = store.images.put(wrong);
      await expect(put).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ARGUMENT" });
    }
    const config = { ...image.config, size: image.config.size - 1 };
    const shorter = store.images.put({ ...record, config });
    await expect(shorter).rejects.toMatchObject({ code: "ERR_STORE_BLOB_NOT_FOUND" });
    const manifests = [{ ...manifest, repository: "r".repeat(8 * 1024 * 1024) }];
    const long = store.images.put({ ...record, manifests });
    await expect(long).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
    expect(await store.images.get(image.id)).toEqual(before);
    const metadata = "m".repeat(8 * 1024 * 1024);
    const container = store.containers.create({ names: ["c"], metadata });
    await expect(container).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
    expect(readdirSync(join(world.root, "containers"))).toEqual([]);
    expect((await store.check()).damages).toEqual([]);
  });
});
