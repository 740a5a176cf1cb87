import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { encodedOf } from "@stowage/content";
import type { ImageService } from "@stowage/image-service";
import type { Store } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const DAY_MS = 86_400_000;
const IMAGE = makeImage({ files: ["a"] });
const OTHER = makeImage({ files: ["b"] });

describe("what others name or use while images are being removed", () => {
  test("prune leaves the image of a pull that ends, which had no name when it looked", async () => {
    await using world = await openPulled();
    await world.store.images.removeName(`${APP}:1`);
    const { images } = serviceBehind(world, "removeAll", () => world.images.pull(`${APP}:1`));
    const { items } = await images.prune();
    expect(items).toMatchObject([{ id: IMAGE.id, action: "keep" }]);
    expect(await namesIn(world)).toEqual([`${APP}:1`]);
  });

  test("prune does not take an image to have no name that is stored and named while it looks", async () => {
    await using world = await openPulled();
    await world.registry.push(`${APP}:2`, OTHER);
    const { images } = serviceBehind(world, "list", () => world.images.pull(`${APP}:2`));
    await images.prune();
    expect(await namesIn(world)).toEqual([`${APP}:1`, `${APP}:2`]);
  });

  test("prune leaves what is used again, if it goes by use, and takes the rest", async () => {
    await using world = await openPulled();
    await world.registry.push(`${APP}:2`, OTHER);
    await world.images.pull(`${APP}:2`);
    for (const id of [IMAGE.id, OTHER.id]) setUnused(world.store, id);
    const { images } = serviceBehind(world, "removeAll", async () =>
      world.store.images.noteUse(IMAGE.id),
    );
    const { items } = await images.prune({ unusedForMs: 30 * DAY_MS });
    expect(items.filter(({ action }) => action === "remove")).toMatchObject([{ id: OTHER.id }]);
    expect(await namesIn(world)).toEqual([`${APP}:1`]);
  });

  test("prune takes away no tag that has moved since it was found to be old", async () => {
    await using world = await openPulled();
    await world.images.tag(`${APP}:1`, "registry.test/other:1");
    await world.registry.push(`${APP}:2`, OTHER);
    await world.images.pull(`${APP}:2`);
    await world.registry.push(`${APP}:1`, OTHER);
    const { images } = serviceBehind(world, "removeNames", () => world.images.pull(`${APP}:1`));
    const { items } = await images.prune({ keepTags: 1 });
    expect(items.filter(({ action }) => action === "remove")).toEqual([]);
    expect(await world.store.images.resolveName(`${APP}:1`)).toBe(OTHER.id);
  });

  test("an image that gets another name while its only one is removed stays", async () => {
    await using world = await openPulled();
    const { images } = serviceBehind(world, "remove", () => world.images.tag(`${APP}:1`, "other"));
    const kept = { id: IMAGE.id, names: ["docker.io/library/other:latest"] };
    expect(await images.untagImage(`${APP}:1`)).toEqual({ names: [`${APP}:1`], kept });
    expect(await namesIn(world)).toEqual(kept.names);
  });

  const steps = ["remove", "removeName"] as const;
  test.each(steps)("a name of one image that moves before %s stays the other's", async (step) => {
    await using world = await openPulled();
    await world.registry.push(`${APP}:1`, OTHER);
    if (step === "removeName") await world.images.tag(`${APP}:1`, "other");
    const { images } = serviceBehind(world, step, () => world.images.pull(`${APP}:1`));
    const untagged = images.untagImage(`${APP}:1`, { onlyOf: IMAGE.id });
    await expect(untagged).rejects.toMatchObject({ code: "ERR_IMAGE_NOT_FOUND" });
    expect(await world.store.images.resolveName(`${APP}:1`)).toBe(OTHER.id);
  });

  test.each(steps)(
    "a name that moves before %s is gone when untagging has said so",
    async (step) => {
      await using world = await openPulled();
      await world.registry.push(`${APP}:1`, OTHER);
      if (step === "removeName") await world.images.tag(`${APP}:1`, "other");
      const { images } = serviceBehind(world, step, () => world.images.pull(`${APP}:1`));
      expect(await images.untagImage(`${APP}:1`)).toEqual({ names: [`${APP}:1`], id: OTHER.id });
      expect(await world.store.images.resolveName(`${APP}:1`)).toBeUndefined();
    },
  );
});

async function openPulled(): Promise<TestWorld> {
  const world = await openWorld();
  await world.registry.push(`${APP}:1`, IMAGE);
  await world.images.pull(`${APP}:1`);
  return world;
}

/** A service whose store others come to first, once, when it is about to do something with images. */
function serviceBehind(
  world: TestWorld,
  before: "list" | "remove" | "removeAll" | "removeName" | "removeNames",
  turn: () => Promise<unknown>,
): { readonly images: ImageService } {
  const { images } = world.store;
  let isDone = false;
  const behind = async (...args: never[]): Promise<unknown> => {
    if (!isDone) {
      isDone = true;
      await turn();
    }
    return await (images[before] as (...args: never[]) => Promise<unknown>)(...args);
  };
  const store: Store = { ...world.store, images: { ...images, [before]: behind } };
  return { images: world.service({ store }) };
}

async function namesIn({ store }: TestWorld): Promise<readonly string[]> {
  return (await store.images.allNames()).map(({ name }) => name).toSorted();
}

function setUnused({ root }: Store, id: typeof IMAGE.id): void {
  const then = new Date(Date.now() - 40 * DAY_MS);
  const directory = join(root, "images", encodedOf(id));
  utimesSync(join(directory, "last-used"), then, then);
  const file = join(directory, "image.json");
  const record = { ...JSON.parse(readFileSync(file, "utf8")), created: then.toISOString() };
  writeFileSync(file, JSON.stringify(record));
}
