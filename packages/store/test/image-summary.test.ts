import { readFileSync, writeFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { ENTRIES, fetching } from "./support/harmed-store.ts";
import {
  imageFile,
  makeImage,
  makeImageWith,
  openWorld,
  recordOf,
  storeImage,
} from "./support/store-world.ts";

describe("the summary in an image's record", () => {
  test("is what lists show, as the config has it and nobody else says", async () => {
    await using world = await openWorld();
    const { store } = world;
    const said = { variant: "v3", created: "2026-01-02T03:04:05Z" };
    const labels = { color: "blue", toString: "", "\u2028": '"' };
    const config = { User: "1000:50", Labels: labels, Env: ["SECRET=1"] };
    const image = makeImageWith({ ...said, config }, [{ name: "a", body: "a" }]);
    await storeImage(store, image);
    const summary = { os: "linux", architecture: "amd64", ...said, user: "1000:50", labels };
    expect((await store.images.get(image.id)).summary).toEqual(summary);
    await store.images.put({ ...recordOf(image), summary: { os: "plan9" } });
    expect((await store.images.get(image.id)).summary).toEqual(summary);
  });

  test("has labels of any key, and none that the config has not", async () => {
    await using world = await openWorld();
    const image = makeImageWith({ config: { Labels: { a: "" } } }, [{ name: "a", body: "a" }]);
    await storeImage(world.store, image);
    const labels = (await world.store.images.get(image.id)).summary?.labels ?? {};
    expect([labels["a"], labels["constructor"], labels["__proto__"]]).toEqual([
      "",
      undefined,
      undefined,
    ]);
  });

  test("is not there where it would be long or the config can not be read", async () => {
    await using world = await openWorld();
    const { store } = world;
    const config = { Labels: { long: "\u0001".repeat(16 * 1024) } };
    const image = makeImageWith({ config }, [{ name: "a", body: "a" }]);
    await storeImage(store, image);
    expect(await store.images.get(image.id)).not.toHaveProperty("summary");
    const plain = makeImage(ENTRIES);
    await storeImage(store, plain);
    const path = store.blobs.path(plain.id);
    writeFileSync(path, readFileSync(path, "utf8").replace("amd64", "arm64"));
    await store.images.put(recordOf(plain));
    expect(await store.images.get(plain.id)).not.toHaveProperty("summary");
  });

  test("K14: that says of the config what it does not is found and mended", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const before = await world.store.images.get(image.id);
    const file = imageFile(world.root, image.id);
    writeFileSync(file, readFileSync(file, "utf8").replace('"amd64"', '"arm64"'));
    const damage = { kind: "image", id: image.id, fault: "stale" };
    expect((await world.store.check()).damages).toMatchObject([{ ...damage, outcome: "found" }]);
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([{ ...damage, outcome: "repaired" }]);
    expect(await world.store.images.get(image.id)).toEqual(before);
    expect((await world.store.check({ deep: true })).damages).toEqual([]);
  });

  test("K14: such a one is found where the config says too much for one, and not by how it is written", async () => {
    await using world = await openWorld();
    const { store } = world;
    const Labels = { color: "blue", ["__proto__"]: "1", broken: "\ud800\u0000" };
    const short = makeImageWith({ config: { Labels } }, ENTRIES);
    const long = makeImageWith({ config: { Labels: { long: "x".repeat(16 * 1024) } } }, ENTRIES);
    for (const image of [short, long]) await storeImage(store, image);
    const file = imageFile(world.root, short.id);
    writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(file, "utf8"))));
    expect((await store.check()).damages).toEqual([]);
    expect(Object.entries((await store.images.get(short.id)).summary?.labels ?? {})).toEqual(
      Object.entries(Labels),
    );
    const before = await store.images.get(long.id);
    const said = JSON.stringify({ ...before, summary: { os: "plan9" } });
    writeFileSync(imageFile(world.root, long.id), said);
    const damage = { kind: "image", id: long.id, fault: "stale" };
    expect((await store.check()).damages).toMatchObject([{ ...damage, outcome: "found" }]);
    const { damages } = await store.check({ repair: {} });
    expect(damages).toMatchObject([{ ...damage, outcome: "repaired" }]);
    expect(await store.images.get(long.id)).toEqual(before);
  });

  test("K01: a config that has changed within is found by the quick form, and mended", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const path = world.store.blobs.path(image.id);
    const before = readFileSync(path, "utf8");
    writeFileSync(path, before.replace("amd64", "arm64"));
    const damage = { kind: "blob", id: image.id, fault: "wrong content" };
    for (const deep of [false, true]) {
      const { damages } = await world.store.check({ deep });
      expect(damages).toMatchObject([{ ...damage, outcome: "found" }]);
    }
    const { sources } = fetching(image);
    const { damages } = await world.store.check({ repair: sources });
    expect(damages).toMatchObject([{ ...damage, outcome: "repaired" }]);
    expect(readFileSync(path, "utf8")).toBe(before);
  });
});
