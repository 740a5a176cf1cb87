import { once } from "node:events";

import type { PullProgress } from "@stowage/image-service";
import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { coded, makeImage } from "./support/test-registry.ts";
import { openWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";

describe("pulls at the same time", () => {
  test("PL-25 transfers six blobs at a time", async () => {
    await using world = await openWorld();
    const { reading } = world.registry;
    const image = makeImage({ files: Array.from({ length: 20 }, (_, index) => `file-${index}`) });
    await world.registry.push(`${APP}:1`, image);
    const { promise: six, resolve } = Promise.withResolvers<void>();
    world.registry.beforeChunk = async (digest) => {
      if (digest === image.id) return;
      if (reading.now === 6) resolve();
      await six;
    };
    const { transferred } = await world.images.pull(`${APP}:1`);
    expect(transferred.blobs).toBe(21);
    expect(reading).toEqual({ now: 0, most: 6 });
  });

  test("M12 a layer that comes many times is transferred once", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: Array.from({ length: 12 }, () => "same") });
    await world.registry.push(`${APP}:1`, image);
    const { transferred } = await world.images.pull(`${APP}:1`);
    expect(transferred.blobs).toBe(2);
    expect((await world.images.inspect(`${APP}:1`)).layers).toHaveLength(12);
  });

  test("IS-091 G06 identical pulls share one run, and one that leaves stops nobody", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    const gate = Promise.withResolvers<void>();
    world.registry.beforeManifest = () => gate.promise;
    const settings = { user: "me" };
    const stops = Array.from({ length: 5 }, () => new AbortController());
    const pulls = stops.map(({ signal }) =>
      world.images.pull(`${APP}:1`, { source: settings, signal }),
    );
    const reason = new Error("first leaves");
    const left = expect(pulls[0]).rejects.toBe(reason);
    stops[0]?.abort(reason);
    await left;
    gate.resolve();
    const results = await Promise.all(pulls.slice(1));
    expect(new Set(results).size).toBe(1);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
    expect(world.registry.fetched).toHaveLength(2);
  });

  test("what the source tells of the way is told to all who wait for it", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    const retry = {
      type: "retry",
      url: "https://r.test/",
      attempt: 1,
      delay: 5,
      reason: 503,
    } as const;
    world.registry.beforeManifest = async (_, { onProgress }) => onProgress?.(retry);
    const told: PullProgress[][] = [[], []];
    await Promise.all(
      told.map((events) =>
        world.images.pull(`${APP}:1`, { onProgress: (event) => void events.push(event) }),
      ),
    );
    expect(world.registry.opens).toMatchObject({ count: 1 });
    for (const events of told) expect(events[0]).toEqual(retry);
  });

  test("IS-091 identical pulls get the same error, and the next pull starts anew", async () => {
    await using world = await openWorld();
    const failure = coded("ERR_TEST_DOWN");
    world.registry.beforeManifest = async () => {
      throw failure;
    };
    const [one, two] = [world.images.pull(`${APP}:1`), world.images.pull(`${APP}:1`)];
    await expect(one).rejects.toBe(failure);
    await expect(two).rejects.toBe(failure);
    world.registry.beforeManifest = async () => undefined;
    await world.registry.push(`${APP}:1`, makeImage());
    await world.images.pull(`${APP}:1`);
  });

  test("when all have left, the pull stops, and is closed before the last is told", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    const stop = new AbortController();
    world.registry.beforeChunk = async () => stop.abort(new Error("all out"));
    const pulls = [world.images.pull(`${APP}:1`, stop), world.images.pull(`${APP}:1`, stop)];
    const outcomes = await Promise.allSettled(pulls);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
    expect(await world.images.listImages()).toEqual([]);
  });

  test("IS-092 G05 pulls with different settings are never shared", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    world.registry.beforeManifest = async (_target, { source }) => {
      if (source === "bad") throw coded("ERR_TEST_DENIED");
    };
    const [good, bad] = await Promise.allSettled([
      world.images.pull(`${APP}:1`, { source: "good" }),
      world.images.pull(`${APP}:1`, { source: "bad" }),
    ]);
    expect(good).toMatchObject({ status: "fulfilled" });
    expect(bad).toMatchObject({ status: "rejected", reason: { code: "ERR_TEST_DENIED" } });
    expect(world.registry.opens).toMatchObject({ count: 2, closes: 2 });
  });

  test("pulls of different images transfer a shared blob once", async () => {
    await using world = await openWorld();
    const [one, two] = [makeImage({ files: ["base", "1"] }), makeImage({ files: ["base", "2"] })];
    await world.registry.push(`${APP}:1`, one);
    await world.registry.push(`${APP}:2`, two);
    await Promise.all([world.images.pull(`${APP}:1`), world.images.pull(`${APP}:2`)]);
    expect(world.registry.fetched).toHaveLength(5);
  });

  test("the pull that transfers a shared blob is cancelled, and the other goes on", async () => {
    await using world = await openWorld();
    const [one, two] = [makeImage({ files: ["base", "1"] }), makeImage({ files: ["base", "2"] })];
    const [base] = one.blobs.keys();
    await world.registry.push(`${APP}:1`, one);
    await world.registry.push(`${APP}:2`, two);
    const stop = new AbortController();
    const reason = new Error("not any more");
    const { promise: waiting, resolve } = Promise.withResolvers<void>();
    let isFirst = true;
    world.registry.beforeChunk = async (digest) => {
      if (digest !== base || !isFirst) return;
      isFirst = false;
      await waiting;
      stop.abort(reason);
    };
    const first = expect(world.images.pull(`${APP}:1`, stop)).rejects.toBe(reason);
    const second = world.images.pull(`${APP}:2`, {
      onProgress: ({ type }) => type === "resolved" && resolve(),
    });
    await first;
    expect((await second).id).toBe(two.id);
    expect((await world.images.listImages()).map(({ id }) => id)).toEqual([two.id]);
  });

  test("the first failure stops the rest, and is what comes out", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b", "c"] });
    await world.registry.push(`${APP}:1`, image);
    const [, bad] = image.blobs.keys();
    world.registry.beforeChunk = async (digest, signal) => {
      if (digest === image.id) return;
      if (digest === bad) throw coded("ERR_TEST_CUT");
      await new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error));
      });
    };
    await expect(world.images.pull(`${APP}:1`)).rejects.toMatchObject({ code: "ERR_TEST_CUT" });
    expect(world.registry.reading.now).toBe(0);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
  });

  test("layers of one image that do not come keep no other image from being unpacked", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    const stalled = makeImage({ files: ["c", "d", "e", "f"] });
    await world.registry.push(`${APP}:1`, image);
    await world.registry.push(`${APP}:2`, stalled);
    const stop = new AbortController();
    world.registry.beforeChunk = async (digest) => {
      if (digest === stalled.id || !stalled.blobs.has(digest)) return;
      if (stop.signal.aborted) throw coded("ERR_TEST_CUT");
      await once(stop.signal, "abort");
      throw coded("ERR_TEST_CUT");
    };
    const failing = world.images.pull(`${APP}:2`).catch((error: unknown) => error);
    await expect.poll(() => world.registry.reading.now).toBe(4);
    expect((await world.images.pull(`${APP}:1`)).id).toBe(image.id);
    stop.abort();
    expect(await failing).toMatchObject({ code: "ERR_TEST_CUT" });
  });

  test("P08 two stores on one root pull the same image: both succeed, one copy", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    await world.registry.push(`${APP}:1`, image);
    const { root, runRoot } = world.store;
    await using store = await openStore({ root, runRoot });
    const other = world.service({ store });
    const results = await Promise.all([world.images.pull(`${APP}:1`), other.pull(`${APP}:1`)]);
    expect(results.map(({ id }) => id)).toEqual([image.id, image.id]);
    expect(await world.images.listImages()).toHaveLength(1);
  });
});
