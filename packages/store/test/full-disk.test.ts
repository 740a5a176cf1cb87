import { spawnSync } from "node:child_process";
import { appendFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";
import { openStore, type Store } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { HAS_EXT4, makeDisk, mountExt4, mountTmpfs } from "./support/small-disk.ts";
import { makeImage, storeImage, type TestImage } from "./support/store-world.ts";

const MIB = 1024 * 1024;
const DISKS = [
  { name: "a tmpfs", isThere: IS_ROOT, mount: mountTmpfs },
  { name: "an ext4 (if mkfs.ext4 is installed)", isThere: IS_ROOT && HAS_EXT4, mount: mountExt4 },
];

describe.each(DISKS)(`on $name that is full${NEEDS_ROOT}`, ({ isThere, mount }) => {
  test.skipIf(!isThere)(
    "D01: a layer that does not fit is NoSpace, and leaves nothing but what was there",
    async () => {
      using disk = makeDisk((path) => mount(path));
      await using store = await openStore(disk);
      const [small, large] = [smallImage("small"), largeImage(24 * MIB)];
      await storeImage(store, small, "small:1");
      await expect(storeImage(store, large, "large:1")).rejects.toMatchObject({
        code: "ERR_STORE_NO_SPACE",
        kind: "NoSpace",
      });
      expect(await names(store)).toEqual(["small:1"]);
      expect(await store.check({ deep: true })).toMatchObject({ damages: [] });
      await store.collectGarbage();
      await storeImage(store, smallImage("another"), "another:1");
    },
  );

  test.skipIf(!isThere)(
    "D01, D18: opening, listing, checking and removing work, and give the space back",
    async () => {
      using disk = makeDisk((path) => mount(path));
      const [one, two] = [smallImage("one"), smallImage("two")];
      {
        await using store = await openStore(disk);
        await storeImage(store, one, "one:1");
        await storeImage(store, two, "two:1");
        await store.images.setName("one:2", one.id);
      }
      fill(join(disk.root, "trash/filler"));
      await using store = await openStore(disk);
      expect((await names(store)).toSorted()).toEqual(["one:1", "one:2", "two:1"]);
      await expect(storeImage(store, smallImage("three"), "three:1")).rejects.toMatchObject({
        kind: "NoSpace",
      });
      expect(await store.images.removeName("one:2")).toBe(true);
      await store.images.remove(one.id);
      expect(await names(store)).toEqual(["two:1"]);
      expect(readdirSync(join(disk.root, "layers"))).toEqual(two.layerIDs);
      await store.collectGarbage();
      rmSync(join(disk.root, "trash/filler"));
      expect(await store.check({ deep: true, repair: {} })).toMatchObject({ unverified: [] });
      await storeImage(store, smallImage("three"), "three:1");
      await using again = await openStore(disk);
      expect(await again.check({ deep: true })).toMatchObject({ damages: [] });
    },
  );
});

test.skipIf(!IS_ROOT)(
  `D03: a disk that is out of inodes is NoSpace, and removing works${NEEDS_ROOT}`,
  async () => {
    using disk = makeDisk((path) => mountTmpfs(path, "nr_inodes=120"));
    await using store = await openStore(disk);
    await storeImage(store, smallImage("one"), "one:1");
    const many = Array.from({ length: 200 }, (_, at) => ({ name: `file-${at}` }));
    await expect(storeImage(store, makeImage(many), "many:1")).rejects.toMatchObject({
      code: "ERR_STORE_NO_SPACE",
    });
    expect(await names(store)).toEqual(["one:1"]);
    await store.images.remove(smallImage("one").id);
    expect(readdirSync(join(disk.root, "layers"))).toEqual([]);
  },
);

test.skipIf(!IS_ROOT)(
  `D08: a disk that turns read-only is ReadOnlyStore for what writes, and nothing to what reads${NEEDS_ROOT}`,
  async () => {
    using disk = makeDisk((path) => mountTmpfs(path));
    await using store = await openStore(disk);
    const image = smallImage("one");
    await storeImage(store, image, "one:1");
    // The descriptors of its locks would keep the file system itself from it.
    const bind = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"`;
    expect(spawnSync("sh", ["-ec", bind, "sh", disk.root]).status).toBe(0);
    for (const written of [
      () => store.images.remove(image.id),
      () => store.images.setName("one:2", image.id),
      () => store.collectGarbage(),
    ]) {
      await expect(written()).rejects.toMatchObject({
        code: "ERR_STORE_READ_ONLY",
        kind: "ReadOnlyStore",
      });
    }
    expect(await names(store)).toEqual(["one:1"]);
    expect((await store.usage()).bytes).toBeGreaterThan(0);
    store.images.noteUse(image.id);
    expect(spawnSync("umount", [disk.root]).status).toBe(0);
    await store.images.remove(image.id);
  },
);

/** Takes all that is left, to the last byte. */
function fill(path: string): void {
  writeFileSync(path, "");
  for (const size of [MIB, 4096, 1]) {
    try {
      for (;;) appendFileSync(path, Buffer.alloc(size));
    } catch (error) {
      if (!hasErrorCode(error, "ENOSPC")) throw error;
    }
  }
}

async function names(store: Store): Promise<readonly string[]> {
  return (await store.images.allNames()).map(({ name }) => name);
}

function smallImage(name: string): TestImage {
  return makeImage([{ name, body: name.repeat(2000) }]);
}

/** Its blob is a thousandth of what it unpacks to. */
function largeImage(size: number): TestImage {
  return makeImage([{ name: "zeros", body: Buffer.alloc(size) }]);
}
