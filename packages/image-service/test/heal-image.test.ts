import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type Digest, digestOf } from "@stowage/content";
import type { PullProgress } from "@stowage/image-service";
import { describe, expect, test } from "vitest";

import { makeImage, type TestImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";

describe("pulling an image whose local copy is damaged", () => {
  test.each([
    ["a byte of a file is changed", (path: string) => flip(path)],
    ["a file is empty", (path: string) => truncateSync(path)],
    ["a file is removed", (path: string) => rmSync(path)],
  ])("B3, R2: repairs it when %s, and transfers nothing", async (_, harm) => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    const file = join(await diffOf(world, image, 0), "a");
    harm(file);
    const events: PullProgress[] = [];
    const onProgress = (event: PullProgress): void => void events.push(event);
    const { transferred } = await world.images.pull(`${APP}:1`, { onProgress });
    expect(transferred).toEqual({ blobs: 0, bytes: 0 });
    expect(readFileSync(file, "utf8")).toBe("content of a");
    expect(events.filter(({ type }) => type === "warning")).toHaveLength(1);
    expect(await world.images.check({ deep: true })).toMatchObject({ damages: [] });
    // What has been compared is not compared again.
    const { checked } = await world.images.check();
    expect(checked.comparedLayers).toBe(0);
  });

  test("B3: gets a damaged blob again, and that alone", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    const [blob, size] = layerBlob(image, 1);
    flip(world.store.blobs.path(blob));
    world.registry.fetched.length = 0;
    const { transferred } = await world.images.pull(`${APP}:1`);
    expect(world.registry.fetched).toEqual([blob]);
    expect(transferred).toEqual({ blobs: 1, bytes: size });
    expect(await world.images.check({ deep: true })).toMatchObject({ damages: [] });
  });
});

describe("check", () => {
  test("R21: fetches only the bad blob, from where it came, and asks the policy by its name first", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    const [blob] = layerBlob(image, 0);
    truncateSync(world.store.blobs.path(blob), 7);
    world.registry.fetched.length = 0;
    world.judged.length = 0;
    const mine = { user: "me" };
    const { damages } = await world.images.check({ repair: true, source: mine });
    expect(damages).toMatchObject([{ kind: "blob", id: blob, outcome: "repaired" }]);
    expect(world.registry.fetched).toEqual([blob]);
    expect(world.judged).toMatchObject([{ reference: { tag: "1" }, manifest: image.descriptor }]);
    expect(world.registry.opens.options.at(-1)?.source).toBe(mine);
    expect(world.registry.opens.closes).toBe(world.registry.opens.count);
  });

  test("gets a manifest and a config again, too", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    rmSync(world.store.blobs.path(image.descriptor.digest));
    flip(world.store.blobs.path(image.id));
    const { damages } = await world.images.check({ deep: true, repair: true });
    expect(damages.map(({ outcome }) => outcome)).toEqual(["repaired", "repaired"]);
    expect(await world.images.check({ deep: true })).toMatchObject({ damages: [] });
  });

  test("fetches nothing that the policy would not let in any more", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    const [blob] = layerBlob(image, 0);
    rmSync(world.store.blobs.path(blob));
    world.registry.fetched.length = 0;
    world.judge = async () => {
      throw new Error("not any more");
    };
    const { damages } = await world.images.check({ repair: true });
    expect(damages).toMatchObject([{ outcome: "left", remark: "not any more" }]);
    expect(world.registry.fetched).toEqual([]);
  });

  test("writes the record of an image anew, with the repository that its names have", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    const { canonical } = await world.images.pull(`${APP}:1`);
    const path = join(world.store.root, "images", image.id.slice(7), "image.json");
    writeFileSync(path, "");
    await world.images.check({ repair: true });
    expect(await world.images.imageStatus(image.id)).toMatchObject({ canonical });
    const { manifests } = await world.store.images.get(image.id);
    expect(manifests).toMatchObject([{ repository: APP }]);
  });
});

describe("a collection while a pull is under way", () => {
  test("P10, R22: takes nothing of it, before and after its config is known, and all else", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    await world.registry.push(`${APP}:1`, image);
    const orphan = Buffer.from("what a pull left that was killed");
    const removed: string[] = [];
    const stray = digestOf(orphan);
    world.registry.beforeChunk = async () => {
      await world.store.blobs.write({ digest: stray, size: orphan.length }, once(orphan));
      const { items } = await world.store.collectGarbage({ maxIngestAgeMs: 0 });
      // Whoever moves something to the trash may not have come to emptying it.
      const taken = items.filter(({ kind, action }) => kind !== "trash" && action === "remove");
      removed.push(...taken.map(({ id }) => id));
    };
    await world.images.pull(`${APP}:1`);
    expect(new Set(removed)).toEqual(new Set([stray]));
    expect(removed.length).toBeGreaterThan(2);
    expect(await world.images.check({ deep: true })).toMatchObject({ damages: [] });
  });
});

test("P10: a collection right before the record is written takes nothing that it will name", async () => {
  await using world = await openWorld();
  await world.registry.push(`${APP}:1`, makeImage());
  const { store } = world;
  const images = world.service({
    policy: { requireAllowed: async () => ({ signatures: Buffer.from("what was found") }) },
    store: {
      ...store,
      images: {
        ...store.images,
        async put(...record) {
          await store.collectGarbage();
          await store.images.put(...record);
        },
      },
    },
  });
  const { id } = await images.pull(`${APP}:1`);
  const [way] = (await store.images.get(id)).manifests;
  expect(way?.signatures?.size).toBe("what was found".length);
  expect(await images.check({ deep: true })).toMatchObject({ damages: [] });
});

function layerBlob(image: TestImage, index: number): [digest: Digest, size: number] {
  const { layers } = JSON.parse(Buffer.from(image.bytes).toString());
  return [layers[index].digest, layers[index].size];
}

async function diffOf(world: TestWorld, image: TestImage, index: number): Promise<string> {
  const { layers } = await world.store.images.get(image.id);
  const id = layers[index];
  if (id === undefined) throw new Error("no such layer");
  expect(readdirSync(world.store.layers.diffPath(id))).toHaveLength(1);
  return world.store.layers.diffPath(id);
}

function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[3] = (bytes[3] ?? 0) ^ 1;
  rmSync(path);
  writeFileSync(path, bytes, { mode: 0o444 });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
