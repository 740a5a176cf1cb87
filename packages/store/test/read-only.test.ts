import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openStore, type Store } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { acquireLock, tryAcquireLock } from "../src/store-lock.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { HAS_EXT4, makeDisk, mountExt4, mountTmpfs } from "./support/small-disk.ts";
import { makeImage, storeImage } from "./support/store-world.ts";
import { snapshotTree } from "./support/tree-snapshot.ts";

const image = makeImage([
  { name: "etc", type: "5" },
  { name: "etc/hello", body: "hello" },
]);
const other = makeImage([{ name: "other" }]);

describe(`a store on a file system that is mounted read-only${NEEDS_ROOT}`, () => {
  test.skipIf(!IS_ROOT || !HAS_EXT4)(
    "D08: is looked at and mounted as any, and not changed (if mkfs.ext4 is installed)",
    async () => {
      using disk = makeDisk(mountExt4);
      {
        await using store = await openStore(disk);
        await storeImage(store, image, "one:1");
      }
      // A process that ended in the middle of a pull leaves these.
      writeFileSync(join(disk.root, "leases", `${"0".repeat(32)}.json`), "");
      mkdirSync(join(disk.root, "staging", "1".repeat(32)));
      sh('mount -o remount,ro "$1"', disk.path);
      const before = snapshotTree(disk.root, { touches: true });
      for (const runRoot of [`${disk.runRoot}-new`, disk.runRoot]) {
        await using store = await openStore({ root: disk.root, runRoot });
        expect(await names(store)).toEqual(["one:1"]);
        expect((await store.images.get(image.id)).layers).toEqual(image.layerIDs);
        expect(await store.info()).toMatchObject({ images: 1, layers: 1, blobs: 3 });
        expect((await store.usage()).bytes).toBeGreaterThan(0);
        expect(await store.listLeases()).toEqual([]);
        expect(await store.listTransfers()).toEqual([]);
        expect(await store.check()).toMatchObject({ damages: [], unverified: [] });
        expect(await store.collectGarbage({ dryRun: true })).toMatchObject({ dryRun: true });
        const { mountPoint } = await store.mounts.mountImage(image.id);
        expect(readFileSync(join(mountPoint, "etc/hello"), "utf8")).toBe("hello");
        await store.mounts.unmountImage(image.id);
        await expectRefusals(store);
      }
      expect(snapshotTree(disk.root, { touches: true })).toEqual(before);
      sh('mount -o remount,rw "$1"', disk.path);
      await using store = await openStore(disk);
      await storeImage(store, other, "two:1");
      expect(await store.check()).toMatchObject({ damages: [] });
    },
  );

  test.skipIf(!IS_ROOT)(
    "D08: a layer that has to be unpacked to be compared is told as not compared",
    async () => {
      using disk = makeDisk(mountTmpfs);
      {
        await using store = await openStore(disk);
        await storeImage(store, image, "one:1");
      }
      sh('mount -o remount,ro "$1"', disk.path);
      await using store = await openStore(disk);
      const { damages, unverified } = await store.check({ deep: true });
      expect(damages).toEqual([]);
      expect(unverified).toMatchObject([
        { id: image.layerIDs[0], reason: expect.stringContaining("read-only") },
      ]);
    },
  );

  test.skipIf(!IS_ROOT)(
    "D08: what it needs is tried out when it can be written for the first time",
    async () => {
      using disk = makeDisk(mountTmpfs);
      await (await openStore(disk))[Symbol.asyncDispose]();
      const runRoot = `${disk.runRoot}-new`;
      const untried = join(runRoot, "locks/untried");
      sh('mount -o remount,ro "$1"', disk.path);
      for (const _time of ["first", "second"]) {
        await using _store = await openStore({ root: disk.root, runRoot });
        expect(existsSync(untried)).toBe(true);
      }
      sh('mount -o remount,rw "$1"', disk.path);
      await using _store = await openStore({ root: disk.root, runRoot });
      expect(existsSync(untried)).toBe(false);
    },
  );

  test.skipIf(!IS_ROOT)(
    "D08: shares its locks with whoever has it mounted to write, and knows who is alive",
    async () => {
      using disk = makeDisk(mountTmpfs);
      await using writer = await openStore(disk);
      await storeImage(writer, image, "one:1");
      await using lease = await writer.createLease({ blobs: [image.config.digest] });
      const view = `${disk.runRoot}-view`;
      mkdirSync(view);
      sh('mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"', disk.path, view);
      try {
        await using reader = await openStore({ root: join(view, "root"), runRoot: `${view}-run` });
        expect(await reader.listLeases()).toMatchObject([{ id: lease.id, pid: process.pid }]);
        const written = join(disk.root, "locks/gc.lock");
        const read = join(view, "root/locks/gc.lock");
        {
          using _gc = await acquireLock(written, "exclusive");
          expect(tryAcquireLock(read, "shared")).toBeUndefined();
        }
        {
          using _gc = await acquireLock(read, "shared");
          expect(tryAcquireLock(written, "exclusive")).toBeUndefined();
          using _other = await acquireLock(written, "shared");
        }
        {
          await using _read = await reader.createLease({ blobs: [image.config.digest] });
          expect(tryAcquireLock(written, "exclusive")).toBeUndefined();
        }
        tryAcquireLock(written, "exclusive")?.[Symbol.dispose]();
        expect(() => tryAcquireLock(read, "exclusive")).toThrow(
          expect.objectContaining({ code: "EROFS" }),
        );
        await writer.images.setName("two:1", image.id);
        expect((await names(reader)).toSorted()).toEqual(["one:1", "two:1"]);
      } finally {
        sh('umount -l "$1"', view);
      }
    },
  );

  test.skipIf(!IS_ROOT)("D08: has no run root there, which is told of that", async () => {
    using disk = makeDisk(mountTmpfs);
    await (await openStore(disk))[Symbol.asyncDispose]();
    sh('mount -o remount,ro "$1"', disk.path);
    const runRoot = join(disk.path, "run");
    await expect(openStore({ root: disk.root, runRoot })).rejects.toMatchObject({
      code: "ERR_STORE_READ_ONLY",
      message: expect.stringContaining(`the run root ${runRoot} can not be made`),
      hint: expect.stringContaining("run root that this user may write to"),
    });
  });

  test.skipIf(!IS_ROOT)("D08: is not made there", async () => {
    using disk = makeDisk(mountTmpfs);
    sh('mount -o remount,ro "$1"', disk.path);
    await expect(openStore(disk)).rejects.toMatchObject(READ_ONLY);
  });
});

const READ_ONLY = {
  code: "ERR_STORE_READ_ONLY",
  kind: "ReadOnlyStore",
  hint: expect.stringContaining("mounted read-only"),
};

async function expectRefusals(store: Store): Promise<void> {
  const container = { names: ["ctr"], topLayer: image.layerIDs[0], metadata: "" };
  for (const change of [
    () => storeImage(store, other, "two:1"),
    () => store.blobs.write(other.config, (async function* () {})()),
    () => store.images.setName("one:2", image.id),
    () => store.images.removeName("one:1"),
    () => store.images.remove(image.id),
    () => store.containers.create(container),
    () => store.collectGarbage(),
    () => store.exportPodman(`${store.runRoot}-podman`),
  ]) {
    await expect(change()).rejects.toMatchObject(READ_ONLY);
  }
}

async function names(store: Store): Promise<readonly string[]> {
  return (await store.images.allNames()).map(({ name }) => name);
}

function sh(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync("sh", ["-ec", command, "sh", ...args]);
  if (status !== 0) throw new Error(`${command}: ${String(stderr)}`);
}
