import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { encodedOf } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const IMAGE = makeImage({ files: ["a", "b"] });

describe("untagImage", () => {
  test("R7 removes only the name, and the image with its last name", async () => {
    await using world = await openPulled();
    const { images } = world;
    await images.tag(`${APP}:1`, "other");
    const last = "docker.io/library/other:latest";
    expect(await images.untagImage(`${APP}:1`)).toEqual({
      names: [`${APP}:1`],
      kept: { id: IMAGE.id, names: [last] },
    });
    expect(await images.untagImage("other")).toEqual({ names: [last], id: IMAGE.id });
    expect(await images.listImages()).toEqual([]);
    expect(await leftovers(world)).toEqual([]);
  });

  test("R7 given an ID removes the image, however many names it has", async () => {
    for (const text of [IMAGE.id, encodedOf(IMAGE.id), encodedOf(IMAGE.id).slice(0, 5)]) {
      await using world = await openPulled();
      await world.images.tag(`${APP}:1`, `${APP}:2`);
      const gone = await world.images.untagImage(text);
      expect(gone).toEqual({ names: [`${APP}:2`, `${APP}:1`], id: IMAGE.id });
      expect(await leftovers(world)).toEqual([]);
    }
  });

  test("all names that are taken at the same moment take the image with them", async () => {
    await using world = await openPulled();
    const names = Array.from({ length: 6 }, (_, at) => `${APP}:tag-${at}`);
    for (const name of names) await world.images.tag(`${APP}:1`, name);
    await world.images.untagImage(`${APP}:1`);
    await Promise.all(names.map((name) => world.images.untagImage(name)));
    expect(await world.images.listImages()).toEqual([]);
    expect(await leftovers(world)).toEqual([]);
  });

  test("keeps the last name of an image that a container uses", async () => {
    await using world = await openPulled();
    await world.store.containers.create({ names: ["web"], imageId: IMAGE.id, metadata: "{}" });
    const untag = world.images.untagImage(`${APP}:1`);
    await expect(untag).rejects.toMatchObject({ code: "ERR_IMAGE_IN_USE" });
    expect((await world.images.requireImage(IMAGE.id)).names).toEqual([`${APP}:1`]);
  });

  test("Q3 a digest that leads to the image, but is no stored name, is not found", async () => {
    await using world = await openPulled();
    const untag = world.images.untagImage(`${APP}@${IMAGE.descriptor.digest}`);
    await expect(untag).rejects.toMatchObject({ code: "ERR_IMAGE_NOT_FOUND" });
    await world.images.pull(`${APP}@${IMAGE.descriptor.digest}`);
    await world.images.untagImage(`${APP}:1@${IMAGE.descriptor.digest}`);
    expect((await world.images.requireImage(IMAGE.id)).names).toEqual([`${APP}:1`]);
  });

  test.for(["nothing", "0".repeat(64), `${APP}:9`])("%s is not found", async (text) => {
    await using world = await openPulled();
    const untag = world.images.untagImage(text);
    await expect(untag).rejects.toMatchObject({ kind: "ImageNotFound" });
  });
});

describe("removeImage", () => {
  test("R7 removes the image with all its names, and what only it needed", async () => {
    await using world = await openPulled();
    const other = makeImage({ files: ["a", "c"] });
    await world.registry.push(`${APP}:other`, other);
    await world.images.pull(`${APP}:other`);
    await world.images.tag(`${APP}:1`, `${APP}:2`);
    const gone = await world.images.removeImage(`${APP}:1`);
    expect(gone).toEqual({ names: [`${APP}:2`, `${APP}:1`], id: IMAGE.id });
    const kept = [other.descriptor.digest, ...other.blobs.keys()].map(encodedOf);
    expect(await leftovers(world)).toEqual(kept.sort());
    expect((await world.images.pull(`${APP}:other`)).transferred.blobs).toBe(0);
  });

  test("R7 IS-040 refuses while a container uses it, and says which", async () => {
    await using world = await openPulled();
    await world.store.containers.create({ names: ["web"], imageId: IMAGE.id, metadata: "{}" });
    const remove = world.images.removeImage(IMAGE.id);
    await expect(remove).rejects.toMatchObject({
      code: "ERR_IMAGE_IN_USE",
      kind: "ImageInUse",
      message: expect.stringContaining("web"),
    });
    expect((await world.images.requireImage(IMAGE.id)).names).toEqual([`${APP}:1`]);
  });

  test("G08 refuses a pinned image", async () => {
    await using world = await openPulled();
    const images = world.service({ pinned: [`${APP}*`] });
    expect(await images.listImages()).toMatchObject([{ pinned: true }]);
    const remove = images.removeImage(`${APP}:1`);
    await expect(remove).rejects.toMatchObject({ code: "ERR_IMAGE_PINNED", kind: "InUse" });
    await images.tag(`${APP}:1`, "other");
    await images.untagImage(`${APP}:1`);
    await images.removeImage("other");
  });

  test("G07 removals of one image at the same time all succeed", async () => {
    await using world = await openPulled();
    const texts = [IMAGE.id, `${APP}:1`, `${APP}@${IMAGE.descriptor.digest}`, IMAGE.id, `${APP}:1`];
    const gone = await Promise.all(texts.map((text) => world.images.removeImage(text)));
    expect(gone.map(({ id }) => id)).toEqual(texts.map(() => IMAGE.id));
    expect(await world.images.listImages()).toEqual([]);
  });

  test("G08 a removal during a pull of the same wins or loses; nothing is half there", async () => {
    await using world = await openPulled();
    const removals: Promise<unknown>[] = [];
    const pulled = await world.images.pull(`${APP}:1`, {
      onProgress({ type }) {
        if (type === "layer-exists") removals.push(world.images.removeImage(IMAGE.id));
      },
    });
    await Promise.allSettled(removals);
    expect(removals).toHaveLength(2);
    expect(pulled.id).toBe(IMAGE.id);
    const left = await world.images.listImages();
    if (left.length > 0) {
      const { layers } = await world.images.inspect(IMAGE.id);
      for (const { id } of layers) expect(await world.store.layers.find(id)).toBeDefined();
    }
    expect((await world.images.pull(`${APP}:1`)).names).toEqual([`${APP}:1`]);
  });

  test("Q16 text that begins one image's ID and names another removes neither", async () => {
    await using world = await openPulled();
    const text = encodedOf(IMAGE.id).slice(0, 4);
    const other = makeImage({ files: ["other"] });
    await world.registry.push(`${APP}:other`, other);
    await world.images.pull(`${APP}:other`);
    await world.images.tag(`${APP}:other`, text);
    for (const way of ["untagImage", "removeImage"] as const) {
      const removed = world.images[way](text);
      await expect(removed).rejects.toMatchObject({ code: "ERR_IMAGE_INVALID_ARGUMENT" });
    }
    const name = `docker.io/library/${text}:latest`;
    expect(await world.images.untagImage(`library/${text}`)).toMatchObject({ names: [name] });
    expect(await world.images.removeImage(text)).toMatchObject({ id: IMAGE.id });
  });

  test("what is not here is not found", async () => {
    await using world = await openPulled();
    const remove = world.images.removeImage("nothing");
    await expect(remove).rejects.toMatchObject({ code: "ERR_IMAGE_NOT_FOUND" });
  });
});

async function openPulled(): Promise<TestWorld> {
  const world = await openWorld();
  await world.registry.push(`${APP}:1`, IMAGE);
  await world.images.pull(`${APP}:1`);
  return world;
}

/** The hex names of all blobs in the store. */
async function leftovers(world: TestWorld): Promise<string[]> {
  const path = join(world.store.root, "blobs", "sha256");
  return existsSync(path) ? (await readdir(path)).sort() : [];
}
