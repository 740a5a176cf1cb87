import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type CheckReport, openStore, type RepairSources } from "@stowage/store";
import { describe, expect, onTestFinished, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { makeImage, once, openWorld, storeImage } from "./support/store-world.ts";
import { snapshotTree } from "./support/tree-snapshot.ts";
import {
  blobFile,
  blobOf,
  blobSize,
  diffOf,
  ENTRIES,
  fetching,
  flipBit,
  neighbour,
  withoutLocks,
} from "./support/harmed-store.ts";

const MEMORY = "/dev/shm";

describe("a check", () => {
  test("of a healthy store finds nothing, changes nothing, and says what it read", async () => {
    await using world = await openWorld();
    await storeImage(world.store, makeImage(ENTRIES, [{ name: "top", body: "t" }]), "app:1");
    await storeImage(world.store, neighbour(), "other:1");
    const before = withoutLocks(snapshotTree(world.root, { touches: true }));
    const quick = await world.store.check();
    expect(quick).toMatchObject({ damages: [], unverified: [] });
    expect(quick.checked).toMatchObject({ blobs: 7, hashedBytes: 0, layers: 3, comparedLayers: 0 });
    expect(withoutLocks(snapshotTree(world.root, { touches: true }))).toEqual(before);
    const deep = await world.store.check({ deep: true, repair: {} });
    expect(deep).toMatchObject({ damages: [], unverified: [] });
    expect(deep.checked).toMatchObject({ comparedLayers: 3, images: 2, names: 2, containers: 0 });
    const { blobBytes } = await world.store.info();
    expect(deep.checked.hashedBytes).toBe(blobBytes);
  });

  test("rejects with the reason of its signal, and leaves nothing behind", async () => {
    await using world = await openWorld();
    await storeImage(world.store, neighbour(), "other:1");
    const reason = new Error("enough");
    const controller = new AbortController();
    flipBit(join(world.store.layers.diffPath(neighbour().layerIDs[0] as never), "near"), 3);
    const checked = world.store.check({
      deep: true,
      signal: controller.signal,
      onDamage: () => controller.abort(reason),
      repair: {},
    });
    await expect(checked).rejects.toBe(reason);
    await world.store[Symbol.asyncDispose]();
    expect(readdirSync(join(world.root, "staging"))).toEqual([]);
  });

  test("says of a layer whose blob is damaged that nothing can be said", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    flipBit(blobFile(world, image), 200);
    const { damages, unverified } = await world.store.check({ deep: true });
    expect(damages).toMatchObject([{ kind: "blob", id: blobOf(image) }]);
    expect(unverified).toMatchObject([{ id: image.layerIDs[0] }]);
  });

  test("leaves a blob that can not be got again, and says why", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    rmSync(blobFile(world, image));
    const nowhere = await world.store.check({ repair: {} });
    expect(nowhere.damages).toMatchObject([{ outcome: "left", remark: /nowhere/ }]);
    const lying: RepairSources = { openBlob: () => once(Buffer.alloc(blobSize(image))) };
    const lied = await world.store.check({ repair: lying });
    expect(lied.damages).toMatchObject([{ outcome: "left", remark: /bytes are sha256/ }]);
    expect(existsSync(blobFile(world, image))).toBe(false);
  });

  test("R21: a layer and its blob are both repaired, from one fetch", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const whole = snapshotTree(diffOf(world, image));
    truncateSync(blobFile(world, image), 10);
    rmSync(join(diffOf(world, image), "bin"), { recursive: true });
    const source = fetching(image);
    const { damages } = await world.store.check({ repair: source.sources });
    expect(damages.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ["blob", "repaired"],
      ["layer", "repaired"],
    ]);
    expect(source.bytes()).toBe(blobSize(image));
    expect(snapshotTree(diffOf(world, image))).toEqual(whole);
  });

  test("K04: a layer that has no record, and that nothing needs, is removed", async () => {
    await using world = await openWorld();
    const id = "1".repeat(64);
    mkdirSync(join(world.root, "layers", id, "diff"), { recursive: true });
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([{ kind: "layer", id, fault: "no record", outcome: "repaired" }]);
    expect(readdirSync(join(world.root, "layers"))).toEqual([]);
  });

  test("K12: an older backup on another file system is a store as good as any", async () => {
    await using world = await openWorld();
    const elsewhere = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "stowage-backup-"));
    onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }));
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const topLayer = image.layerIDs.at(-1);
    const { id } = await world.store.containers.create({ names: ["c"], metadata: "m", topLayer });
    const root = join(elsewhere, "root");
    execFileSync("cp", ["-a", world.root, root]);
    await world.store.containers.remove(id);
    await storeImage(world.store, neighbour(), "other:1");
    await using store = await openStore({ root, runRoot: world.runRoot });
    expect((await store.images.allNames()).map(({ name }) => name)).toEqual(["app:1"]);
    expect((await store.containers.find(id))?.metadata).toBe("m");
    expect(await store.check()).toMatchObject({ damages: [], unverified: [] });
    expect((await store.check()).checked.comparedLayers).toBe(0);
    await store.containers.remove(id);
    await store.images.remove(image.id);
    expect(await store.info()).toMatchObject({ images: 0, layers: 0, blobs: 0 });
  });

  test("K10: staging that can not be removed is told, and hinders nothing", async () => {
    await using world = await openWorld();
    await world.store[Symbol.asyncDispose]();
    const left = join(world.root, "staging", "a".repeat(32));
    mkdirSync(join(left, "mounted"), { recursive: true });
    const bind = spawnSync("mount", ["--bind", join(left, "mounted"), join(left, "mounted")]);
    if (bind.status !== 0) return expect(IS_ROOT).toBe(false);
    try {
      await using store = await openStore(world);
      const { damages } = await store.check({ repair: {} });
      expect(damages).toMatchObject([{ kind: "leftover", id: "a".repeat(32), outcome: "left" }]);
    } finally {
      spawnSync("umount", [join(left, "mounted")]);
    }
    await using store = await openStore(world);
    expect((await store.check()).damages).toEqual([]);
  });

  test("a container that has lost its work directory gets one, and what it has written is not made up", async () => {
    await using world = await openWorld();
    const { id } = await world.store.containers.create({ names: [], metadata: "" });
    const path = join(world.root, "containers", id);
    rmSync(join(path, "work"), { recursive: true });
    rmSync(join(path, "upper"), { recursive: true });
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([
      { kind: "container", id, path: "upper", outcome: "left" },
      { kind: "container", id, path: "work", outcome: "repaired" },
    ]);
  });

  test.skipIf(!IS_ROOT)(
    `R21: repairs the layer of a running container, which keeps its files, and stops nobody${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      const image = makeImage(ENTRIES);
      await storeImage(world.store, image, "app:1");
      const create = async (): Promise<string> => {
        const topLayer = image.layerIDs[0];
        const spec = { names: [], metadata: "", topLayer, imageId: image.id };
        return (await world.store.containers.create(spec)).id;
      };
      const [running, later] = [await create(), await create()];
      const old = await world.store.mounts.mountContainer(running);
      flipBit(join(diffOf(world, image), "bin/tool"), 9);
      const { damages } = await world.store.check({ repair: {} });
      expect(damages).toMatchObject([
        { kind: "layer", outcome: "repaired", remark: expect.stringContaining(running) },
      ]);
      const sound = await world.store.mounts.mountContainer(later);
      expect(readFileSync(join(sound.mountPoint, "bin/tool"), "utf8")).toBe("tool".repeat(500));
      // Neither a collection nor another opening takes from under it what it has mounted.
      await world.store.collectGarbage();
      await (await openStore(world))[Symbol.asyncDispose]();
      spawnSync("sh", ["-c", "echo 2 > /proc/sys/vm/drop_caches"]);
      expect(readFileSync(join(old.mountPoint, "etc/conf"), "utf8")).toBe("conf");
      expect(readdirSync(join(world.root, "trash"))).toHaveLength(1);
      await world.store.mounts.unmountContainer(running);
      await world.store.collectGarbage();
      expect(readdirSync(join(world.root, "trash"))).toEqual([]);
      expect((await world.store.check({ deep: true })).damages).toEqual([]);
    },
  );

  test("does not miss what is removed in the middle of it", async () => {
    await using world = await openWorld();
    const [image, other] = [makeImage(ENTRIES), neighbour()];
    await storeImage(world.store, image, "app:1");
    await storeImage(world.store, other, "other:1");
    truncateSync(blobFile(world, image), 10);
    const source = fetching(image);
    const repair: RepairSources = {
      async *openBlob(blob, options) {
        await world.store.images.remove(other.id);
        yield* source.sources.openBlob?.(blob, options) ?? [];
      },
    };
    const { damages } = await world.store.check({ deep: true, repair });
    expect(damages).toMatchObject([{ kind: "blob", id: blobOf(image), outcome: "repaired" }]);
  });

  test("says nothing false while another process removes and stores images", async () => {
    await using world = await openWorld();
    const [image, kept] = [makeImage(ENTRIES, [{ name: "top", body: "t" }]), neighbour()];
    await storeImage(world.store, kept, "other:1");
    await using other = await openStore(world);
    const done = new AbortController();
    const changing = (async () => {
      while (!done.signal.aborted) {
        await storeImage(other, image, "app:1");
        await other.images.remove(image.id);
      }
    })();
    const reports: CheckReport[] = [];
    for (let round = 0; round < 6; round += 1)
      reports.push(await world.store.check({ deep: true }));
    done.abort();
    await changing;
    expect(reports.flatMap(({ damages }) => damages)).toEqual([]);
  });
});
