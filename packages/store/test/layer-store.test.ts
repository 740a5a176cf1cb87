import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { layerIDs, openStore, parseLayerID, type Store } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { type RawEntry, rawTar } from "./support/raw-tar.ts";
import { makeImage, once, openWorld, storeImage } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

describe("layerIDs", () => {
  test("follows containers/storage: the first is its diff ID, the next hash parent and diff ID", () => {
    const [base, top] = [digestOf(Buffer.from("a")), digestOf(Buffer.from("b"))];
    const hex = base.slice("sha256:".length);
    const next = digestOf(Buffer.from(`${hex}+${top.slice("sha256:".length)}`));
    expect(layerIDs([base, top])).toEqual([hex, next.slice("sha256:".length)]);
  });
});

describe("a layer", () => {
  test("is nowhere before its commit, and leaves nothing when it is dropped", async () => {
    await using world = await openWorld();
    const { store } = world;
    const [blob, diffID] = await storeBlob(store, [{ name: "file", body: "x" }]);
    {
      await using staged = await store.layers.stage(blob, diffID);
      expect(staged).toMatchObject({ diffID, entries: 1, diffSize: 2048 });
      expect(readdirSync(join(world.root, "layers"))).toEqual([]);
    }
    expect(stagedLayers(world.root)).toEqual([]);
  });

  test("is whole after its commit, with a record of its own", async () => {
    await using world = await openWorld();
    const { store } = world;
    const [blob, diffID] = await storeBlob(store, [{ name: "file", body: "x" }]);
    await using staged = await store.layers.stage(blob, diffID);
    const record = await store.layers.commit(staged);
    expect(record).toMatchObject({ version: 1, diffID, blob, id: layerIDs([diffID])[0] });
    expect(await store.layers.get(record.id)).toEqual(record);
    expect(readFileSync(join(store.layers.diffPath(record.id), "file"), "utf8")).toBe("x");
    expect(await Array.fromAsync(store.layers.walk())).toEqual([record]);
    expect(stagedLayers(world.root)).toEqual([]);
    const again = store.layers.commit(staged);
    await expect(again).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ARGUMENT" });
  });

  test("that two commit at once is there once, and both get its record", async () => {
    await using world = await openWorld();
    const { store } = world;
    const [blob, diffID] = await storeBlob(store, [{ name: "file", body: "x" }]);
    const records = await Promise.all(
      Array.from({ length: 4 }, async () => {
        await using staged = await store.layers.stage(blob, diffID);
        return await store.layers.commit(staged);
      }),
    );
    for (const record of records) expect(record).toEqual(records[0]);
    expect(readdirSync(join(world.root, "layers"))).toHaveLength(1);
  });

  test("Z13 V22 whose archive is another than the config says is refused", async () => {
    await using world = await openWorld();
    const { store } = world;
    const [blob] = await storeBlob(store, [{ name: "file", body: "x" }]);
    const staged = store.layers.stage(blob, digestOf(Buffer.from("other")));
    await expect(staged).rejects.toMatchObject({
      code: "ERR_STORE_DIFF_ID_MISMATCH",
      kind: "DiffIdMismatch",
    });
    expect(stagedLayers(world.root)).toEqual([]);
  });

  test("V28: forty that fail at once leave no lock, thread or file behind that the next one waits for", async () => {
    await using world = await openWorld();
    const { store } = world;
    const broken = Buffer.from("no archive ".repeat(100));
    const blob = { mediaType: "", digest: digestOf(broken), size: broken.length };
    await store.blobs.write(blob, once(broken));
    const failed = await Promise.allSettled(
      Array.from({ length: 40 }, () => store.layers.stage(blob, blob.digest)),
    );
    expect(failed.map(({ status }) => status)).toEqual(Array(40).fill("rejected"));
    const [good, diffID] = await storeBlob(store, [{ name: "file", body: "x" }]);
    const limit = { signal: AbortSignal.timeout(30_000) };
    await using staged = await store.layers.stage(good, diffID, limit);
    await store.layers.commit(staged);
    expect(stagedLayers(world.root)).toEqual([]);
  });

  test("is not unpacked once the signal has fired, and rejects with its reason", async () => {
    await using world = await openWorld();
    const [blob, diffID] = await storeBlob(world.store, [{ name: "file", body: "x" }]);
    const reason = new Error("enough");
    const staged = world.store.layers.stage(blob, diffID, { signal: AbortSignal.abort(reason) });
    await expect(staged).rejects.toBe(reason);
  });

  test("is unpacked by what its blob begins with, whatever the media type says", async () => {
    await using world = await openWorld();
    const { store } = world;
    const tar = rawTar({ name: "file", body: "x" });
    for (const bytes of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
      for (const mediaType of [MEDIA_TYPE.layerTar, MEDIA_TYPE.layerGzip, MEDIA_TYPE.layerZstd]) {
        const blob = { mediaType, digest: digestOf(bytes), size: bytes.length };
        await store.blobs.write(blob, once(bytes));
        await using staged = await store.layers.stage(blob, digestOf(tar));
        expect(staged).toMatchObject({ entries: 1 });
      }
    }
  });

  test("that an image has twice is there for each place in it", async () => {
    await using world = await openWorld();
    const { store } = world;
    const [own, other] = [[{ name: "file", body: "x" }], [{ name: "file", body: "y" }]];
    const image = makeImage(own, other, own);
    await storeImage(store, image);
    expect(new Set(image.layerIDs).size).toBe(3);
    const shown = image.layerIDs.map((id) =>
      readFileSync(join(store.layers.diffPath(id), "file"), "utf8"),
    );
    expect(shown).toEqual(["x", "y", "x"]);
  });

  test("is not committed on a parent that is not there", async () => {
    await using world = await openWorld();
    const { store } = world;
    const [blob, diffID] = await storeBlob(store, [{ name: "file", body: "x" }]);
    await using staged = await store.layers.stage(blob, diffID);
    const committed = store.layers.commit(staged, parseLayerID("0".repeat(64)));
    await expect(committed).rejects.toMatchObject({ code: "ERR_STORE_LAYER_NOT_FOUND" });
  });

  test.skipIf(!IS_ROOT)(
    `inherits directories that it implies from the nearest layer that shows them${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      const { store } = world;
      const image = makeImage(
        [
          { name: "a/", type: "5", mode: 0o700, uid: 5, gid: 5 },
          { name: "b/", type: "5", mode: 0o700, uid: 5, gid: 5 },
          { name: "c/", type: "5", mode: 0o700, uid: 5, gid: 5 },
          { name: "c/d/", type: "5", mode: 0o700, uid: 5, gid: 5 },
        ],
        [
          { name: ".wh.b", body: "" },
          { name: "c/", type: "5", mode: 0o711, uid: 6, gid: 6 },
          { name: "c/.wh..wh..opq", body: "" },
        ],
        [{ name: "a/x" }, { name: "b/x" }, { name: "c/x" }, { name: "c/d/x" }],
      );
      await storeImage(store, image);
      const top = store.layers.diffPath(parseLayerID(image.layerIDs[2] ?? ""));
      const ownership = (path: string): readonly number[] => {
        const { mode, uid, gid } = statSync(join(top, path));
        return [mode & 0o7777, uid, gid];
      };
      expect(ownership("a")).toEqual([0o700, 5, 5]);
      expect(ownership("b")).toEqual([0o755, 0, 0]);
      expect(ownership("c")).toEqual([0o711, 6, 6]);
      expect(ownership("c/d")).toEqual([0o755, 0, 0]);
    },
  );

  test("R21: that lost its record or its files is replaced by the next commit", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage([{ name: "file", body: "x" }]);
    await storeImage(store, image);
    const id = parseLayerID(image.layerIDs[0] ?? "");
    const directory = join(world.root, "layers", id);
    const damages = [
      () => rmSync(join(directory, "layer.json")),
      () => writeFileSync(join(directory, "layer.json"), "{"),
      () => rmSync(join(directory, "diff"), { recursive: true }),
    ];
    for (const damage of damages) {
      damage();
      await expect(store.layers.get(id)).rejects.toMatchObject({ kind: "StoreCorrupt" });
      await storeImage(store, image);
      expect(readFileSync(join(store.layers.diffPath(id), "file"), "utf8")).toBe("x");
    }
    expect(readdirSync(join(world.root, "trash"))).toEqual([]);
  });

  test("is not removed while something needs it", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage([{ name: "file", body: "x" }], [{ name: "file", body: "y" }]);
    await storeImage(store, image);
    for (const id of image.layerIDs) {
      const removed = store.layers.remove(id);
      await expect(removed).rejects.toMatchObject({ code: "ERR_STORE_LAYER_IN_USE" });
    }
    expect(await store.layers.remove(parseLayerID("0".repeat(64)))).toBe(false);
  });

  test("R20: left half unpacked by a dead process is gone at the next opening", async () => {
    await using world = await openWorld();
    const left = join(world.root, "staging", "f".repeat(32));
    writeFileSync(`${left}.lock`, "");
    mkdirSync(join(left, "diff/etc"), { recursive: true });
    const [blob, diffID] = await storeBlob(world.store, [{ name: "file", body: "x" }]);
    await using staged = await world.store.layers.stage(blob, diffID);
    await using _other = await openStore(world);
    expect(existsSync(left)).toBe(false);
    expect(existsSync(`${left}.lock`)).toBe(false);
    await world.store.layers.commit(staged);
  });
});

function stagedLayers(root: string): readonly string[] {
  const staging = join(root, "staging");
  return readdirSync(staging).filter((entry) => existsSync(join(staging, entry, "diff")));
}

async function storeBlob(
  store: Store,
  entries: readonly RawEntry[],
): Promise<[Descriptor, Descriptor["digest"]]> {
  const tar = rawTar(...entries);
  const blob = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(tar), size: tar.length };
  await store.blobs.write(blob, once(tar));
  return [blob, blob.digest];
}
