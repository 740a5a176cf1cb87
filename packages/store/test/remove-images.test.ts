import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  makeImage,
  makeImageWith,
  openWorld,
  recordOf,
  storeImage,
} from "./support/store-world.ts";

const BASE = [{ name: "shared", body: "base" }];
const ONE = makeImage(BASE, [{ name: "one", body: "1" }]);
const TWO = makeImage(BASE, [{ name: "two", body: "2" }]);
const THREE = makeImage(BASE, [{ name: "three", body: "3" }]);
const ABSENT = makeImage([{ name: "absent", body: "absent" }]);

describe("many images at once", () => {
  test("go with their names and what they alone needed, but for those that have to stay", async () => {
    await using world = await openWorld();
    const { images, containers, blobs } = world.store;
    await storeImage(world.store, ONE, "one:1");
    await storeImage(world.store, TWO, "two:1");
    await storeImage(world.store, THREE, "three:1");
    await images.setName("one:2", ONE.id);
    await containers.create({ imageId: TWO.id, names: ["user"], metadata: "" });
    const asked: string[] = [];
    const stays = await images.removeAll([ONE.id, ABSENT.id, TWO.id, THREE.id], {
      onlyIf({ id, names }) {
        asked.push(...names.map(({ name }) => name));
        return id !== THREE.id;
      },
    });
    expect([...stays].map(([id, { code }]) => [id, code])).toEqual([
      [ABSENT.id, "ERR_STORE_IMAGE_NOT_FOUND"],
      [TWO.id, "ERR_STORE_IMAGE_IN_USE"],
      [THREE.id, "ERR_STORE_IMAGE_IN_USE"],
    ]);
    expect(asked).toEqual(["one:2", "one:1", "three:1"]);
    const { images: left, names, damaged } = await images.list();
    expect(left.map(({ id }) => id).toSorted()).toEqual([TWO.id, THREE.id].toSorted());
    expect(names.map(({ name }) => name).toSorted()).toEqual(["three:1", "two:1"]);
    expect(damaged).toEqual([]);
    expect(await blobs.stat(ONE.id)).toBeUndefined();
    const wanted = new Set([...recordOf(TWO).layers, ...recordOf(THREE).layers]);
    expect(readdirSync(join(world.root, "layers")).toSorted()).toEqual([...wanted].toSorted());
    const index = JSON.parse(readFileSync(join(world.root, "index.json"), "utf8"));
    expect(index.manifests).toHaveLength(2);
    expect(readdirSync(join(world.root, "trash"))).toEqual([]);
  });

  test("may be more than go under one lock", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    const many = Array.from({ length: 300 }, (_, n) => makeImageWith({ author: `${n}` }));
    for (const image of many) await storeImage(world.store, image);
    const asked = new Set<string>();
    const onlyIf = ({ id }: { readonly id: string }): boolean => asked.add(id).size > 0;
    const ids = many.map(({ id }) => id);
    expect(await images.removeAll([...ids, ...ids], { onlyIf })).toEqual(new Map());
    expect(asked.size).toBe(300);
    expect((await images.list()).images).toEqual([]);
    expect(readdirSync(join(world.root, "blobs/sha256"))).toEqual([]);
  });
});

test("many names at once go, but for those that have to stay, and the rest is told", async () => {
  await using world = await openWorld();
  const { images } = world.store;
  await storeImage(world.store, ONE, "one:1");
  for (const tag of ["one:2", "one:3"]) await images.setName(tag, ONE.id);
  const wanted = ["one:1", "one:4", "one:2", "one:3"];
  const gone = await images.removeNames(wanted, { onlyIf: ({ name }) => name !== "one:2" });
  expect(gone).toEqual(["one:1", "one:3"]);
  expect(await images.namesOf(ONE.id)).toEqual(["one:2"]);
  const index = JSON.parse(readFileSync(join(world.root, "index.json"), "utf8"));
  expect(index.manifests).toHaveLength(1);
});
