import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { makeImage, once, openWorld, storeImage } from "./support/store-world.ts";

const BASE = [{ name: "base", body: "b".repeat(300_000) }];

describe("usage", () => {
  test("adds up to what du sees, kind by kind", async () => {
    await using world = await openWorld();
    const { store, root } = world;
    await storeImage(store, makeImage(BASE, [{ name: "one", body: "1" }]), "one:1");
    await storeImage(store, makeImage(BASE, [{ name: "two", body: "2".repeat(9000) }]), "two:1");
    const image = makeImage([{ name: "gone", body: "x" }]);
    for (const [digest, content] of image.bytes) {
      await store.blobs.write({ digest, size: content.byteLength }, once(content));
    }
    const { id } = await store.containers.create({ names: ["demo"], metadata: "" });
    const upper = join(root, "containers", id, "upper");
    writeFileSync(join(upper, "big"), "c".repeat(50_000));
    linkSync(join(upper, "big"), join(upper, "big-too"));
    mkdirSync(join(upper, "d/e/e/p"), { recursive: true });
    writeFileSync(Buffer.concat([Buffer.from(`${upper}/`), Buffer.from([0xff, 0xfe])]), "bytes");
    mkdirSync(join(root, "ingest/half"));
    writeFileSync(join(root, "ingest/half/data"), "half".repeat(3000));
    writeFileSync(join(root, "trash/kept"), "t".repeat(5000));
    const usage = await store.usage();
    expect(usage.bytes).toBe(du(root));
    for (const kind of ["blobs", "layers", "containers", "ingest", "staging", "trash"] as const) {
      expect([kind, usage[kind].bytes]).toEqual([kind, du(join(root, kind))]);
    }
    expect(usage).toMatchObject({
      blobs: { count: 10 },
      layers: { count: 3 },
      containers: { count: 1 },
      ingest: { count: 1 },
    });
  });

  test("tells shared content from what removing one image frees, which is what it then frees", async () => {
    await using world = await openWorld();
    const { store, root } = world;
    const [one, two] = [
      makeImage(BASE, [{ name: "one", body: "1".repeat(40_000) }]),
      makeImage(BASE, [{ name: "two", body: "2" }]),
    ];
    await storeImage(store, one, "one:1");
    await storeImage(store, two, "two:1");
    const before = await store.usage();
    const [oneUsage, twoUsage] = [one, two].map(({ id }) =>
      before.images.find((image) => image.id === id),
    );
    expect(oneUsage?.sharedBytes).toBe(twoUsage?.sharedBytes);
    expect(oneUsage?.sharedBytes).toBeGreaterThan(300_000);
    const kinds = du(join(root, "blobs")) + du(join(root, "layers"));
    await store.images.remove(one.id);
    const freed = kinds - du(join(root, "blobs")) - du(join(root, "layers"));
    expect((oneUsage?.bytes ?? 0) - (oneUsage?.sharedBytes ?? 0)).toBe(freed);
    expect((await store.usage()).bytes).toBe(du(root));
  });

  test("tells what a lease keeps for a purpose, also when its image has gone", async () => {
    await using world = await openWorld();
    const { store, root } = world;
    const image = makeImage(BASE, [{ name: "one", body: "1".repeat(40_000) }]);
    await storeImage(store, image, "one:1");
    const blobs = [image.config.digest, image.manifest.digest];
    const purpose = "somebody who reads it";
    const lease = await store.createLease({ blobs, layers: image.layerIDs, purpose });
    const [own] = (await store.usage()).images;
    expect((await store.usage()).kept).toEqual([{ purpose, bytes: own?.bytes, ownBytes: 0 }]);
    await store.images.remove(image.id);
    const { images, kept, reclaimableBytes } = await store.usage();
    expect({ images, kept, reclaimableBytes }).toEqual({
      images: [],
      kept: [{ purpose, bytes: own?.bytes, ownBytes: own?.bytes }],
      reclaimableBytes: 0,
    });
    const before = du(join(root, "blobs")) + du(join(root, "layers"));
    await store.releaseLease(lease.id);
    expect(before - du(join(root, "blobs")) - du(join(root, "layers"))).toBe(own?.bytes);
    expect((await store.usage()).kept).toEqual([]);
  });

  test("says before what a collection then frees", async () => {
    await using world = await openWorld();
    const { store, root } = world;
    // The owner's name in a lock takes a block, too.
    await store.collectGarbage();
    const orphan = makeImage([{ name: "orphan", body: "o".repeat(100_000) }]);
    for (const [digest, content] of orphan.bytes) {
      await store.blobs.write({ digest, size: content.byteLength }, once(content));
    }
    const { reclaimableBytes, bytes } = await store.usage();
    const planned = await store.collectGarbage({ dryRun: true });
    const { removedBytes } = await store.collectGarbage();
    expect(reclaimableBytes).toBe(removedBytes);
    expect(planned.removedBytes).toBe(removedBytes);
    expect(bytes - du(root)).toBe(removedBytes);
  });

  test("rejects with the reason of its signal", async () => {
    await using world = await openWorld();
    const reason = new Error("enough");
    const measured = world.store.usage({ signal: AbortSignal.abort(reason) });
    await expect(measured).rejects.toBe(reason);
  });
});

/** Bytes allocated, by the tool that people compare with. */
function du(path: string, ...flags: readonly string[]): number {
  return Number(
    execFileSync("du", ["-s", "--block-size=1", ...flags, path], { encoding: "utf8" }).split(
      "\t",
    )[0],
  );
}
