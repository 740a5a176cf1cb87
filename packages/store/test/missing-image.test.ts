import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { digestOf } from "@stowage/content";
import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { ENTRIES, neighbour } from "./support/harmed-store.ts";
import {
  imageFile,
  makeImage,
  once,
  openWorld,
  recordOf,
  storeImage,
  type StoreWorld,
  type TestImage,
} from "./support/store-world.ts";

const WAYS = ["with its directory", "alone"];

describe("an image whose record is gone while a name says that it is here", () => {
  test.each(WAYS)("K05: keeps all that it needs from a collection: gone %s", async (way) => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    await storeImage(world.store, neighbour(), "other:1");
    loseRecord(world, image, way);
    const planned = await world.store.collectGarbage({ dryRun: true });
    const report = await world.store.collectGarbage();
    for (const { items } of [planned, report]) {
      expect(items.filter(({ action }) => action === "remove")).toEqual([]);
      const reason = items.find(({ id }) => id === image.id)?.reason;
      expect(reason).toMatch(new RegExp(`${image.id} is missing.*app:1.*fsck --repair`));
    }
    expect((await world.store.usage()).reclaimableBytes).toBe(0);
    await world.store.images.remove(neighbour().id);
    expect(await world.store.blobs.stat(image.manifest.digest)).toBeDefined();
  });

  test.each(WAYS)("K05: is told of by the list and by its name: gone %s", async (way) => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    loseRecord(world, image, way);
    const { damaged, images } = await world.store.images.list();
    expect(images).toEqual([]);
    expect(damaged).toMatchObject([{ code: "ERR_STORE_CORRUPT" }]);
    await expect(world.store.images.resolveName("app:1")).rejects.toMatchObject({
      code: "ERR_STORE_CORRUPT",
      hint: expect.stringContaining("fsck --repair"),
    });
    expect(await world.store.images.resolveName("app:2")).toBeUndefined();
    await storeImage(world.store, image, "app:1");
    expect(await world.store.images.resolveName("app:1")).toBe(image.id);
  });

  test.each(WAYS)("K05: is written anew, with its signatures: gone %s", async (way) => {
    await using world = await openWorld();
    const [image, bytes] = [makeImage(ENTRIES), Buffer.from("signed")];
    await storeImage(world.store, image, "app:1");
    const signatures = { mediaType: "application/x", digest: digestOf(bytes), size: bytes.length };
    await world.store.blobs.write(signatures, once(bytes));
    const record = recordOf(image);
    const manifests = record.manifests.map((it) => ({ ...it, signatures }));
    await world.store.images.put({ ...record, manifests });
    const before = await world.store.images.get(image.id);
    loseRecord(world, image, way);
    // Whoever opens the store next finds index.json to be stale.
    await (await openStore(world))[Symbol.asyncDispose]();
    await storeImage(world.store, neighbour(), "other:1");
    const { damages: found } = await world.store.check();
    expect(found).toMatchObject([
      { kind: "image", id: image.id, fault: "no record", outcome: "found" },
      { kind: "name", fault: "no image", outcome: "found" },
    ]);
    const repositoryOf = (): string => "localhost/test";
    const { damages } = await world.store.check({ repair: { repositoryOf } });
    expect(damages.filter(({ kind }) => kind !== "index")).toMatchObject([
      { kind: "image", id: image.id, outcome: "repaired" },
    ]);
    const after = await world.store.images.get(image.id);
    expect(after.manifests).toEqual(before.manifests);
    expect(await world.store.images.resolveName("app:1")).toBe(image.id);
    expect((await world.store.check({ deep: true })).damages).toEqual([]);
  });

  test("K05: is lost where its manifest is gone too, which a repair says before the name goes", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    loseRecord(world, image, "with its directory");
    rmSync(world.store.blobs.path(image.manifest.digest));
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([
      { kind: "image", id: image.id, fault: "no record", outcome: "left" },
      { kind: "name", fault: "no image", outcome: "set aside" },
      { kind: "index", outcome: "repaired" },
    ]);
    expect((await world.store.check()).damages).toEqual([]);
    const { items } = await world.store.collectGarbage();
    expect(items.find(({ id }) => id === image.id)?.action).toBe("remove");
  });

  test("K05: is written anew for a container that is of it, whose name is gone", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image);
    const { id } = image;
    await world.store.containers.create({ names: ["c"], imageId: id, metadata: "" });
    loseRecord(world, image, "with its directory");
    const { items } = await world.store.collectGarbage();
    expect(items.filter(({ action }) => action === "remove")).toEqual([]);
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([{ kind: "image", id, outcome: "repaired" }]);
    expect(await world.store.images.get(id)).toMatchObject({ id });
  });

  test("R20: is not what a removal leaves that was killed before it came to the names", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    await world.store.images.setName("app:2", image.id);
    const note = { version: 1, blobs: [...image.bytes.keys()], layers: image.layerIDs };
    writeFileSync(
      join(world.root, "trash", `${"1".repeat(32)}.json`),
      JSON.stringify({ ...note, images: [image.id] }),
    );
    renameSync(dirname(imageFile(world.root, image.id)), join(world.root, "trash", "2".repeat(32)));
    expect((await world.store.images.list()).damaged).toEqual([]);
    expect(await world.store.images.resolveName("app:1")).toBeUndefined();
    const { items } = await world.store.collectGarbage({ dryRun: true });
    expect(items.find(({ id }) => id === image.id)?.action).toBe("remove");
    const { damages } = await world.store.check({ repair: {} });
    expect(damages.filter(({ kind }) => kind === "image" || kind === "name")).toEqual([]);
    expect(existsSync(imageFile(world.root, image.id))).toBe(false);
    await using again = await openStore(world);
    expect(await again.info()).toMatchObject({ images: 0, layers: 0, blobs: 0 });
    expect(readdirSync(join(world.root, "names"))).toEqual([]);
  });

  test("R20: is not what was to be removed while something else was in the way, and was stored again", async () => {
    await using world = await openWorld();
    const [image, other] = [makeImage(ENTRIES), neighbour()];
    await storeImage(world.store, image, "app:1");
    await storeImage(world.store, other, "other:1");
    writeFileSync(imageFile(world.root, other.id), "{");
    await world.store.images.remove(image.id);
    await storeImage(world.store, image, "app:1");
    await world.store.check({ repair: {} });
    loseRecord(world, image, "with its directory");
    await using again = await openStore(world);
    await again.collectGarbage();
    await again.check({ repair: {} });
    expect(await again.images.resolveName("app:1")).toBe(image.id);
  });
});

function loseRecord(world: StoreWorld, image: TestImage, way: string): void {
  const path = dirname(imageFile(world.root, image.id));
  rmSync(path, { recursive: true });
  if (way === "alone") mkdirSync(path);
}
