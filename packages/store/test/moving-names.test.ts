import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import { encodedOf } from "@stowage/content";
import type { ImageName, ImageStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { createImageStore } from "../src/image-store.ts";
import { storeLimits } from "../src/layer/layer-limits.ts";
import { exportPodman } from "../src/podman/export-podman.ts";
import { createStoreContext, type StoreContext } from "../src/store-context.ts";
import { type StoreLayout, storeLayout } from "../src/store-layout.ts";
import { ENTRIES, neighbour } from "./support/harmed-store.ts";
import {
  imageFile,
  makeImage,
  openWorld,
  storeImage,
  type StoreWorld,
} from "./support/store-world.ts";

const [image, other] = [makeImage(ENTRIES), neighbour()];

describe("a name that moves while it is read", () => {
  test("is in the list, with an image that is stored when the images have been read", async () => {
    await using world = await openWorld();
    using moved = await prepareMove(world, "names");
    const { images, names, damaged } = await moved.images.list();
    expect(names).toMatchObject([{ name: "app:1", imageId: other.id }]);
    expect(images.map(({ id }) => id)).toEqual([other.id, image.id]);
    expect(damaged).toEqual([]);
  });

  test.each<[string, (images: ImageStore) => Promise<unknown>]>([
    ["found", async (images) => await images.resolveName("app:1")],
    ["among all names", async (images) => (await images.allNames())[0]?.imageId],
  ])("is %s, though the image that it was of is removed", async (_how, ask) => {
    await using world = await openWorld();
    using moved = await prepareMove(world, "images", { isRemoved: true });
    expect(await ask(moved.images)).toBe(other.id);
  });

  test.each([
    ["when the images have been chosen", { at: 0 }],
    ["when they have been leased", { at: 1 }],
    ["when they have been leased, and the other is removed", { at: 1, isRemoved: true }],
  ])("is in an export of all, %s", async (_when, how) => {
    await using world = await openWorld();
    using moved = await prepareMove(world, "names", how);
    const directory = join(world.root, "../exported");
    const exported = await exportPodman(moved.context, world.store.blobs, directory, {});
    expect(exported.images).toContain(other.id);
    const images: readonly { readonly names?: readonly string[] }[] = JSON.parse(
      readFileSync(join(directory, "overlay-images/images.json"), "utf8"),
    );
    const named = images.filter(({ names = [] }) => names.includes("app:1"));
    expect(named).toMatchObject([{ id: encodedOf(other.id) }]);
    expect(await world.store.listLeases()).toHaveLength(1);
  });
});

describe("a removal of what somebody has chosen", () => {
  test("asks whether it is so still, and leaves what is not", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, image, "app:1");
    const before = await images.allNames();
    const seen: unknown[] = [];
    const refused = images.remove(image.id, {
      onlyIf: ({ names, lastUse }) => {
        seen.push(names, typeof lastUse);
        return false;
      },
    });
    await expect(refused).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_IN_USE" });
    expect(seen).toEqual([before, "number"]);
    expect(await images.removeName("app:1", { onlyIf: () => false })).toBe(false);
    expect(await images.removeName("app:2", { onlyIf: () => true })).toBe(false);
    expect(await images.allNames()).toEqual(before);
    const [name] = before;
    const isSame = ({ generation }: ImageName): boolean => generation === name?.generation;
    expect(await images.removeName("app:1", { onlyIf: isSame })).toBe(true);
    await images.remove(image.id, { onlyIf: ({ names }) => names.length === 0 });
    expect((await images.list()).images).toEqual([]);
  });
});

/**
 * Images of a store in which another process stores an image and moves the name to it: when the
 * names are about to be read, or when it is about to be looked whether the image of a name is here.
 */
async function prepareMove(
  { root, runRoot, store }: StoreWorld,
  before: "images" | "names",
  { at = 0, isRemoved = false } = {},
): Promise<{ readonly context: StoreContext; readonly images: ImageStore } & Disposable> {
  await storeImage(store, image, "app:1");
  await storeImage(store, other, "app:1");
  const [file = ""] = readdirSync(join(root, "names"));
  const [name, late] = [join(root, "names", file), dirname(imageFile(root, other.id))];
  const aside = { name: join(root, "..", "name"), late: join(root, "..", "late") };
  copyFileSync(name, aside.name);
  await store.images.setName("app:1", image.id);
  renameSync(late, aside.late);
  const plain = storeLayout(root, runRoot);
  let looks = 0;
  const layout: StoreLayout = {
    ...plain,
    get [before]() {
      if (looks === at) {
        renameSync(aside.name, name);
        renameSync(aside.late, late);
        if (isRemoved) rmSync(dirname(imageFile(root, image.id)), { recursive: true });
      }
      looks += 1;
      return plain[before];
    },
  };
  const context = createStoreContext(layout, storeLimits());
  return {
    context,
    images: createImageStore(context, store.blobs, store.layers),
    [Symbol.dispose]: () => expect(looks).toBeGreaterThan(at),
  };
}
