import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { copyBetween, parseCopyLocation, serveStore } from "@stowage/runtime-shim";
import { buildImage, type BuiltImage, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { createStoreTags, type PushedManifests } from "../src/serve/store-tags.ts";

import { openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";

const IMAGE = buildImage({ layers: [{ entries: [{ name: "a", content: "a" }] }] });
const OTHER = buildImage({ layers: [{ entries: [{ name: "b", content: "b" }] }] });
const ARTIFACT = {
  mediaType: MEDIA_TYPE.imageManifest,
  digest: digestOf(Buffer.from("artifact")),
  size: 8,
};
const NOTHING_KEPT: PushedManifests = { keepImage: async () => false, hold: async () => {} };

describe("a store that changes while it is served", () => {
  test("has a tag all the time that moves to an image stored since the others were read", async () => {
    await using world = await openRuntimeWorld();
    await keep(world, IMAGE);
    const { images } = world.runtime.store;
    const store = {
      ...world.runtime.store,
      images: {
        ...images,
        async list() {
          const listed = await images.list();
          await keep(world, OTHER);
          return listed;
        },
      },
    };
    const tags = createStoreTags({ images: world.runtime.images, store }, NOTHING_KEPT);
    expect(await tags.resolve("app", "1")).toMatchObject({ digest: IMAGE.descriptor.digest });
    expect(await tags.resolve("app", "1")).toMatchObject({ digest: OTHER.descriptor.digest });
  });

  test("loses no tag with a manifest that it has left meanwhile", async () => {
    await using world = await openRuntimeWorld();
    await keep(world, IMAGE);
    const tags = tagsBehind(world, () => keep(world, OTHER));
    expect(await tags.remove("app", IMAGE.descriptor.digest)).toBe(false);
    expect(await tags.resolve("app", "1")).toMatchObject({ digest: OTHER.descriptor.digest });
  });

  test("has nothing of a tag that moves while it is removed", async () => {
    await using world = await openRuntimeWorld();
    await keep(world, IMAGE);
    const tags = tagsBehind(world, () => keep(world, OTHER));
    expect(await tags.remove("app", "1")).toBe(true);
    expect(await tags.resolve("app", "1")).toBeUndefined();
  });

  test("knows no tag that another has removed first", async () => {
    await using world = await openRuntimeWorld();
    await keep(world, IMAGE);
    const tags = tagsBehind(world, () => world.runtime.images.untagImage("localhost/app:1"));
    expect(await tags.remove("app", "1")).toBe(false);
  });
});

test("an image and an artifact that are pushed by one tag at once leave it to one of them", async () => {
  await using world = await openRuntimeWorld();
  let other: Promise<void> | undefined;
  const tags = createStoreTags(world.runtime, {
    async keepImage({ digest }) {
      if (digest === ARTIFACT.digest) return false;
      await keep(world, IMAGE);
      other = tags.put("app", ARTIFACT, "1");
      // Long enough for the other to be done, were it not to wait for this one.
      await Promise.race([other, setTimeout(300)]);
      return true;
    },
    hold: async () => {},
  });
  await tags.put("app", IMAGE.descriptor, "1");
  await other;
  expect(await tags.resolve("app", "1")).toMatchObject({ digest: ARTIFACT.digest });
});

test("a tag whose image is pinned stays, and the client is told why", async () => {
  await using world = await openRuntimeWorld({ pinned: ["localhost/app:1"] });
  await keep(world, IMAGE);
  await using server = await serveStore({ ...world.options, writable: true });
  const { url } = await server.listen();
  const answer = await fetch(`${url}/v2/app/manifests/1`, { method: "DELETE" });
  expect([answer.status, await answer.json()]).toMatchObject([
    409,
    { errors: [{ code: "DENIED", message: expect.stringContaining("pinned") as unknown }] },
  ]);
  expect((await fetch(`${url}/v2/app/manifests/1`)).status).toBe(200);
});

/** Tags of a world to which others come once, when something is about to be untagged. */
function tagsBehind(world: RuntimeWorld, turn: () => Promise<unknown>) {
  const { images, store } = world.runtime;
  let isDone = false;
  const untagImage: typeof images.untagImage = async (...args) => {
    if (!isDone) {
      isDone = true;
      await turn();
    }
    return await images.untagImage(...args);
  };
  return createStoreTags({ store, images: { ...images, untagImage } }, NOTHING_KEPT);
}

async function keep(world: RuntimeWorld, image: BuiltImage): Promise<void> {
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: image });
  const from = parseCopyLocation(`oci:${layout}:it`);
  await copyBetween(from, parseCopyLocation("store:localhost/app:1"), world.options);
}
