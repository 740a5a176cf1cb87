import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";

describe("pulls in flight", () => {
  test("are listed by any service over the store, with the bytes that are here, until they end", async () => {
    await using world = await openWorld();
    const { registry, store } = world;
    const image = makeImage({ files: ["a", "b"] });
    const layers = [...image.blobs].filter(([digest]) => digest !== image.id);
    const size = layers.reduce((sum, [, bytes]) => sum + bytes.length, 0);
    await registry.push(`${APP}:1`, image);
    const { promise: half, resolve: atHalf } = Promise.withResolvers<void>();
    const { promise: go, resolve: goOn } = Promise.withResolvers<void>();
    const [held] = layers[0] ?? expect.fail("no layer");
    let chunks = 0;
    registry.beforeChunk = async (digest) => {
      if (digest !== held) return;
      chunks += 1;
      if (chunks < 3) return;
      atHalf();
      await go;
    };
    expect(await world.images.listPullsInFlight()).toEqual([]);
    const before = new Date().toISOString();
    const pulled = world.images.pull(`${APP}:1`);
    await half;
    await using other = await openStore(store);
    const asker = world.service({ store: other });
    await expect
      .poll(async () => (await asker.listPullsInFlight())[0]?.received)
      .toBeGreaterThan(0);
    const [listed, ...more] = await asker.listPullsInFlight();
    expect(more).toEqual([]);
    expect(listed).toMatchObject({
      name: `${APP}:1`,
      digest: image.descriptor.digest,
      pid: process.pid,
      size,
      blobs: layers.map(([digest, { length }]) => ({ digest, size: length })),
    });
    const received = listed?.blobs.find(({ digest }) => digest === held)?.received;
    expect(received).toBeLessThanOrEqual(1024);
    expect((listed?.since ?? "") >= before).toBe(true);
    goOn();
    await pulled;
    expect(await asker.listPullsInFlight()).toEqual([]);
  });

  test("are gone from the list when they fail, and when they are cancelled", async () => {
    await using world = await openWorld();
    const { registry, images } = world;
    await registry.push(`${APP}:1`, makeImage());
    const reason = new Error("enough");
    const controller = new AbortController();
    registry.beforeChunk = async () => {
      if ((await images.listPullsInFlight()).length === 1) controller.abort(reason);
    };
    await expect(images.pull(`${APP}:1`, { signal: controller.signal })).rejects.toBe(reason);
    expect(await images.listPullsInFlight()).toEqual([]);
    registry.beforeChunk = () => Promise.reject(new Error("cut off"));
    await expect(images.pull(`${APP}:1`)).rejects.toThrow("cut off");
    expect(await images.listPullsInFlight()).toEqual([]);
  });

  test("that would not be listed reject with the signal's reason", async () => {
    await using world = await openWorld();
    const reason = new Error("never mind");
    const signal = AbortSignal.abort(reason);
    await expect(world.images.listPullsInFlight({ signal })).rejects.toBe(reason);
  });
});
