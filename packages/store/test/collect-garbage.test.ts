import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once as eventOf } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { digestOf } from "@stowage/content";
import { type CollectReport, openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import {
  imageFile,
  makeImage,
  once,
  openWorld,
  recordOf,
  storeImage,
  type StoreWorld,
  type TestImage,
} from "./support/store-world.ts";

const HOUR_MS = 60 * 60 * 1000;

describe("collectGarbage", () => {
  test("removes blobs and layers that no image ever had, and nothing that one needs", async () => {
    await using world = await openWorld();
    const [kept, orphan] = [makeImage([{ name: "kept", body: "k" }]), twoLayers()];
    await storeImage(world.store, kept, "kept:1");
    await storeContent(world, orphan);
    writeFileSync(join(world.root, "blobs/sha256/no-digest"), "stray");
    const before = await world.store.info();
    expect(before).toMatchObject({ images: 1, layers: 3 });
    const report = await world.store.collectGarbage();
    expect(await world.store.info()).toMatchObject({ images: 1, layers: 1, blobs: 3 });
    expect(removed(report)).toEqual(
      [...orphan.bytes.keys(), ...orphan.layerIDs, "sha256/no-digest"].toSorted(),
    );
    expect(readdirSync(join(world.root, "blobs/sha256"))).not.toContain("no-digest");
    expect(readdirSync(join(world.root, "trash"))).toEqual([]);
    expect(report.removedBytes).toBeGreaterThan(0);
  });

  test("a dry run says why each item stays or goes, and removes nothing", async () => {
    await using world = await openWorld();
    const [image, orphan] = [makeImage([{ name: "kept", body: "k" }]), twoLayers()];
    await storeImage(world.store, image, "kept:1");
    await storeContent(world, orphan);
    const { id } = await world.store.containers.create({
      names: [],
      metadata: "",
      topLayer: orphan.layerIDs[0],
    });
    const before = await world.store.info();
    const report = await world.store.collectGarbage({ dryRun: true });
    expect(await world.store.info()).toEqual({ ...before, freeBytes: expect.any(Number) });
    const why = new Map(report.items.map((item) => [item.id, `${item.action}: ${item.reason}`]));
    expect(why.get(image.layerIDs[0] ?? "")).toBe(`keep: image ${image.id} needs it`);
    expect(why.get(orphan.layerIDs[0] ?? "")).toBe(`keep: container ${id} needs it`);
    expect(why.get(orphan.layers[0]?.blob.digest ?? "")).toBe(`keep: container ${id} needs it`);
    expect(why.get(orphan.layerIDs[1] ?? "")).toBe("remove: nothing needs it");
    expect(why.size).toBe(report.items.length);
    expect(removed(await world.store.collectGarbage())).toEqual(removed(report));
  });

  test("P10: a lease keeps what it names, here yet or not, and no more than that", async () => {
    await using world = await openWorld();
    const [leased, other] = [twoLayers(), makeImage([{ name: "other", body: "o" }])];
    const blobs = [...leased.bytes.keys()];
    {
      await using _blobs = await world.store.createLease({ blobs });
      await using _layers = await world.store.createLease({ layers: leased.layerIDs.slice(-1) });
      await storeContent(world, leased);
      await storeContent(world, other);
      const report = await world.store.collectGarbage();
      expect(removed(report)).toEqual([...other.bytes.keys(), ...other.layerIDs].toSorted());
      await world.store.images.put(recordOf(leased));
    }
    expect(await world.store.info()).toMatchObject({ images: 1, layers: 2, blobs: 4 });
  });

  test("a lease that outlives its process keeps until it is released", async () => {
    await using world = await openWorld();
    const image = twoLayers();
    await storeImage(world.store, image, "app:1");
    const purpose = "export to /exports/one";
    let id = "";
    {
      await using first = await openStore(world);
      await using lease = await first.createLease({ layers: image.layerIDs, purpose });
      ({ id } = lease);
    }
    await world.store.images.remove(image.id);
    const { items } = await world.store.collectGarbage();
    expect(items.map(({ reason }) => reason)).toContain(`${purpose} needs it`);
    expect(await world.store.info()).toMatchObject({ images: 0, layers: 2 });
    expect(await world.store.listLeases()).toMatchObject([{ id, purpose }]);
    expect(await world.store.releaseLease("0".repeat(32))).toBe(false);
    expect(await world.store.releaseLease(id)).toBe(true);
    expect(await world.store.info()).toMatchObject({ layers: 0, blobs: 0 });
  });

  test("keeps what a record that can not be read may need, and says which", async () => {
    await using world = await openWorld();
    const [damaged, orphan] = [makeImage([{ name: "kept", body: "k" }]), twoLayers()];
    await storeImage(world.store, damaged, "kept:1");
    await storeContent(world, orphan);
    writeFileSync(imageFile(world.root, damaged.id), "{}");
    const report = await world.store.collectGarbage();
    expect(removed(report)).toEqual([]);
    expect(report.items[0]?.reason).toContain("image.json");
    expect(await world.store.info()).toMatchObject({ layers: 3 });
  });

  test("drops a layer without a record, and beginnings of downloads by their age alone", async () => {
    await using world = await openWorld();
    const bare = "1".repeat(64);
    mkdirSync(join(world.root, "layers", bare, "diff"), { recursive: true });
    const [old, young] = [await beginDownload(world, "old"), await beginDownload(world, "young")];
    const past = new Date(Date.now() - 25 * HOUR_MS);
    utimesSync(join(old.path, "data"), past, past);
    const report = await world.store.collectGarbage();
    expect(removed(report)).toEqual([bare, old.digest].toSorted());
    expect(existsSync(young.path)).toBe(true);
    const all = await world.store.collectGarbage({ maxIngestAgeMs: 0 });
    expect(removed(all)).toEqual([young.digest]);
    expect(readdirSync(join(world.root, "ingest"))).toEqual([]);
  });

  test("never takes a download that is under way, whatever its age", async () => {
    await using world = await openWorld();
    const bytes = Buffer.from("a blob that comes in two pieces");
    const blob = { mediaType: "text/plain", digest: digestOf(bytes), size: bytes.length };
    let report: CollectReport | undefined;
    await world.store.blobs.ingest(blob, {
      async *openContent() {
        yield bytes.subarray(0, 9);
        report = await world.store.collectGarbage({ maxIngestAgeMs: 0 });
        yield bytes.subarray(9);
      },
    });
    expect(report?.items).toContainEqual(
      expect.objectContaining({ kind: "ingest", action: "keep", reason: "being downloaded" }),
    );
    expect(await world.store.blobs.stat(blob.digest)).toMatchObject({ size: bytes.length });
  });

  test("leaves the staging of a living process alone, and clears that of a dead one", async () => {
    await using world = await openWorld();
    const image = twoLayers();
    for (const [digest, content] of image.bytes) {
      await world.store.blobs.write({ digest, size: content.byteLength }, once(content));
    }
    const [layer] = image.layers;
    if (layer === undefined) throw new Error("no layer");
    await using _lease = await world.store.createLease({ blobs: [...image.bytes.keys()] });
    await using staged = await world.store.layers.stage(layer.blob, layer.diffID);
    const dead = "d".repeat(32);
    mkdirSync(join(world.root, "staging", dead, "diff"), { recursive: true });
    writeFileSync(join(world.root, "staging", `${dead}.lock`), "");
    const report = await world.store.collectGarbage();
    expect(removed(report)).toEqual([dead]);
    const left = report.items.filter(({ kind }) => kind === "staging");
    // One is the store's own, one that of the layer.
    expect(left.map(({ action }) => action).toSorted()).toEqual(["keep", "keep", "remove"]);
    await world.store.layers.commit(staged);
  });

  test("P14: a process that dies in a collection leaves one that the next finishes", async () => {
    await using world = await openWorld();
    await storeContent(world, twoLayers());
    const script = join(import.meta.dirname, "support/hold-lock.ts");
    const lock = join(world.root, "locks/gc.lock");
    const holder = spawn(process.execPath, ["--conditions=@stowage/source", script, lock]);
    await eventOf(holder.stdout, "data");
    const collected = world.store.collectGarbage();
    holder.kill("SIGKILL");
    expect((await collected).removedBytes).toBeGreaterThan(0);
  });

  test("rejects with the reason of its signal", async () => {
    await using world = await openWorld();
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(world.store.collectGarbage({ signal })).rejects.toBe(reason);
  });
});

describe("the last use of an image", () => {
  test("is that of its pull, its container or its mount, and lasts", async () => {
    await using world = await openWorld();
    const image = twoLayers();
    await storeImage(world.store, image, "app:1");
    const record = await world.store.images.get(image.id);
    const age = (): number => Date.now() - world.store.images.lastUse(record);
    const makeOld = (): void => {
      const past = new Date(Date.now() - 50 * HOUR_MS);
      utimesSync(join(imageFile(world.root, image.id), "../last-used"), past, past);
    };
    const old = { ...record, created: new Date(0).toISOString() };
    makeOld();
    expect(Date.now() - world.store.images.lastUse(old)).toBeGreaterThan(49 * HOUR_MS);
    const { id } = await world.store.containers.create({
      names: [],
      metadata: "",
      imageId: image.id,
    });
    expect(age()).toBeLessThan(HOUR_MS);
    makeOld();
    await world.store.containers.remove(id);
    expect(Date.now() - world.store.images.lastUse(old)).toBeLessThan(HOUR_MS);
    makeOld();
    world.store.images.noteUse(image.id);
    await world.store[Symbol.asyncDispose]();
    await using again = await openStore(world);
    expect(Date.now() - again.images.lastUse(old)).toBeLessThan(HOUR_MS);
  });

  test("K18: in the future is now", async () => {
    await using world = await openWorld();
    const image = twoLayers();
    await storeImage(world.store, image, "app:1");
    const record = await world.store.images.get(image.id);
    const future = { ...record, created: "2999-01-01T00:00:00Z" };
    expect(world.store.images.lastUse(future)).toBeLessThanOrEqual(Date.now());
  });

  test("that can not be noted holds up nobody, and fails nothing", async () => {
    await using world = await openWorld();
    const image = twoLayers();
    await storeImage(world.store, image, "app:1");
    const file = join(imageFile(world.root, image.id), "../last-used");
    const past = new Date(Date.now() - 50 * HOUR_MS);
    for (const program of ["mkfifo", "mkdir"]) {
      rmSync(file, { recursive: true });
      execFileSync(program, [file]);
      utimesSync(file, past, past);
      await using store = await openStore(world);
      store.images.noteUse(image.id);
    }
    expect((await world.store.images.list()).damaged).toEqual([]);
  });

  test("costs no write within a minute of the one before", async () => {
    await using world = await openWorld();
    const image = twoLayers();
    await storeImage(world.store, image, "app:1");
    const file = join(imageFile(world.root, image.id), "../last-used");
    const { ctimeNs } = statSync(file, { bigint: true });
    world.store.images.noteUse(image.id);
    expect(statSync(file, { bigint: true }).ctimeNs).toBe(ctimeNs);
  });

  test.skipIf(!IS_ROOT)(`is that of a mount${NEEDS_ROOT}`, async () => {
    await using world = await openWorld();
    const image = twoLayers();
    await storeImage(world.store, image, "app:1");
    const past = new Date(Date.now() - 50 * HOUR_MS);
    utimesSync(join(imageFile(world.root, image.id), "../last-used"), past, past);
    await world.store.mounts.mountImage(image.id);
    const old = { ...recordOf(image), created: new Date(0).toISOString() };
    expect(Date.now() - world.store.images.lastUse(old)).toBeLessThan(HOUR_MS);
  });
});

function twoLayers(): TestImage {
  return makeImage([{ name: "base", body: "b".repeat(5000) }], [{ name: "top", body: "t" }]);
}

/** All of an image but its record, as a pull that was killed leaves it. */
async function storeContent(world: StoreWorld, image: TestImage): Promise<void> {
  for (const [digest, content] of image.bytes) {
    await world.store.blobs.write({ digest, size: content.byteLength }, once(content));
  }
  let parent: (typeof image.layerIDs)[number] | undefined;
  for (const { blob, diffID } of image.layers) {
    await using staged = await world.store.layers.stage(blob, diffID);
    parent = (await world.store.layers.commit(staged, parent)).id;
  }
}

async function beginDownload(
  world: StoreWorld,
  text: string,
): Promise<{ readonly path: string; readonly digest: string }> {
  const bytes = Buffer.from(text);
  const blob = { mediaType: "text/plain", digest: digestOf(bytes), size: bytes.length };
  const cut = world.store.blobs.ingest(blob, {
    async *openContent() {
      yield bytes.subarray(0, 1);
      throw new Error("cut");
    },
  });
  await expect(cut).rejects.toThrow("cut");
  const key = createHash("sha256").update(blob.digest).digest("hex");
  return { path: join(world.root, "ingest", key), digest: blob.digest };
}

function removed(report: CollectReport): readonly string[] {
  const gone = report.items.filter(({ action }) => action === "remove");
  return gone.map(({ id }) => id).toSorted();
}
