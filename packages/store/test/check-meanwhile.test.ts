import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { describe, expect, test } from "vitest";

import { checkBlobs } from "../src/check/check-blobs.ts";
import { checkLayers } from "../src/check/check-layers.ts";
import { type CheckRun, createCheckRun } from "../src/check/check-run.ts";
import { checkImages, checkNames } from "../src/check/check-records.ts";
import { checkSummaries } from "../src/check/check-summaries.ts";
import { createTreeComparer } from "../src/check/tree-comparer.ts";
import { storeLimits } from "../src/layer/layer-limits.ts";
import { createStoreContext, type StoreContext } from "../src/store-context.ts";
import { lockPath, storeLayout } from "../src/store-layout.ts";
import { tryAcquireLock } from "../src/store-lock.ts";
import { blobOf, ENTRIES, neighbour } from "./support/harmed-store.ts";
import {
  imageFile,
  makeImage,
  openWorld,
  storeImage,
  type StoreWorld,
} from "./support/store-world.ts";

describe("what others do while a check repairs", () => {
  test("an image that they remove stays removed, though its summary was to be mended", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const file = imageFile(world.root, image.id);
    writeFileSync(file, readFileSync(file, "utf8").replace('"amd64"', '"arm64"'));
    let isRemoved = false;
    await using run = openRun(world, {
      async afterRead(count) {
        // The second time the config is read is when the record is about to be written.
        if (count !== 2 || !isFree(world)) return;
        await world.store.images.remove(image.id);
        isRemoved = true;
      },
    });
    await checkSummaries(run);
    expect(run.damages).toMatchObject([{ id: image.id, fault: "stale", outcome: "repaired" }]);
    if (!isRemoved) await world.store.images.remove(image.id);
    expect((await world.store.images.list()).images).toEqual([]);
  });

  test("a record that they have stored anew is not set aside", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const record = await world.store.images.get(image.id);
    writeFileSync(imageFile(world.root, image.id), "{");
    rmSync(world.store.blobs.path(image.manifest.digest));
    await using run = openRun(world, {
      turn: async () => await storeImage(world.store, image),
    });
    const lost = await checkImages(run);
    await checkNames(run, lost);
    expect(run.damages).toMatchObject([{ id: image.id, outcome: "repaired" }]);
    expect(await world.store.images.get(image.id)).toMatchObject({ manifests: record.manifests });
    expect(await world.store.images.resolveName("app:1")).toBe(image.id);
    expect((await world.store.check()).damages).toEqual([]);
  });

  test.each(["in index.json", "nowhere"])(
    "a damaged name that they have set is theirs: known %s",
    async (where) => {
      await using world = await openWorld();
      const [image, other] = [makeImage(ENTRIES), neighbour()];
      await storeImage(world.store, image, "app:1");
      await storeImage(world.store, other);
      const [file = ""] = readdirSync(join(world.root, "names"));
      writeFileSync(join(world.root, "names", file), "{");
      if (where === "nowhere") rmSync(join(world.root, "index.json"));
      await using run = openRun(world, {
        turn: async () => await world.store.images.setName("app:1", other.id),
      });
      await checkNames(run, new Set());
      expect(run.damages).toMatchObject([{ kind: "name", id: file, outcome: "repaired" }]);
      expect(await world.store.images.resolveName("app:1")).toBe(other.id);
      expect((await world.store.check()).damages).toEqual([]);
    },
  );

  test("a damaged name does not come back to an image that they remove", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const [file = ""] = readdirSync(join(world.root, "names"));
    writeFileSync(join(world.root, "names", file), "{");
    await using run = openRun(world, {
      turn: async () => await world.store.images.remove(image.id),
    });
    await checkNames(run, new Set());
    expect(run.damages).toMatchObject([{ kind: "name", id: file, outcome: "set aside" }]);
    expect((await world.store.check()).damages).toEqual([]);
  });

  test("a name of a lost image that they have moved is not set aside", async () => {
    await using world = await openWorld();
    const [image, other] = [makeImage(ENTRIES), neighbour()];
    await storeImage(world.store, image, "app:1");
    await storeImage(world.store, other);
    rmSync(dirname(imageFile(world.root, image.id)), { recursive: true });
    await using run = openRun(world, {
      turn: async () => await world.store.images.setName("app:1", other.id),
      at: 2,
    });
    await checkNames(run, new Set([image.id]));
    expect(run.damages).toMatchObject([{ kind: "name", fault: "no image", outcome: "repaired" }]);
    expect(await world.store.images.resolveName("app:1")).toBe(other.id);
  });

  test("a blob that was damaged and needed by nobody is not removed when they have stored it again", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    writeFileSync(world.store.blobs.path(blobOf(image)), "garbage");
    await using run = openRun(world, {
      deep: true,
      async afterRead(count) {
        if (count === 1) await storeImage(world.store, image, "app:1");
      },
    });
    await checkBlobs(run);
    expect(run.damages).toMatchObject([{ id: blobOf(image), outcome: "repaired" }]);
    expect((await world.store.check({ deep: true })).damages).toEqual([]);
  });

  test("a layer that was broken and needed by nobody is not removed when they have stored it again", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    mkdirSync(join(world.root, "layers", image.layerIDs[0] ?? ""));
    await using run = openRun(world, {
      turn: async () => await storeImage(world.store, image, "app:1"),
    });
    await checkLayers(run);
    expect(run.damages).toMatchObject([{ id: image.layerIDs[0], outcome: "repaired" }]);
    expect((await world.store.check({ deep: true })).damages).toEqual([]);
  });
});

interface Others {
  readonly deep?: boolean;
  /** What they do before this check is given a lock. */
  readonly turn?: () => Promise<void>;
  /** Which time that is, counted from 1. @defaultValue 1 */
  readonly at?: number;
  /** What they do when this check has read a blob, and how many it had. */
  readonly afterRead?: (count: number) => Promise<void>;
}

/** A check that repairs, with others at the same store. */
function openRun(
  world: StoreWorld,
  { deep, turn, at = 1, afterRead }: Others,
): CheckRun & AsyncDisposable {
  const { store } = world;
  const own = createStoreContext(storeLayout(world.root, world.runRoot), storeLimits());
  let [locks, reads] = [0, 0];
  const context: StoreContext = {
    ...own,
    async lock(name, mode, options) {
      locks += 1;
      if (locks === at) await turn?.();
      return await own.lock(name, mode, options);
    },
  };
  const blobs: CheckRun["blobs"] = {
    ...store.blobs,
    async *openContent(descriptor, options) {
      yield* store.blobs.openContent(descriptor, options);
      reads += 1;
      await afterRead?.(reads);
    },
  };
  const comparer = createTreeComparer();
  const { layers } = store;
  const lease = (options: Parameters<typeof store.createLease>[0]) => store.createLease(options);
  const run = createCheckRun({ context, blobs, layers, comparer, lease }, { deep, repair: {} });
  return {
    ...run,
    async [Symbol.asyncDispose]() {
      await comparer[Symbol.asyncDispose]();
      await own[Symbol.asyncDispose]();
    },
  };
}

/** Whether somebody could remove an image now. */
function isFree({ root, runRoot }: StoreWorld): boolean {
  const path = lockPath(storeLayout(root, runRoot), "gc");
  using lock = tryAcquireLock(path, "exclusive");
  return lock !== undefined;
}
