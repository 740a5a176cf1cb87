import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { type ContainerRecord, openStore, type Store } from "@stowage/store";
import { describe, expect, test } from "vitest";

import type { RawEntry } from "./support/raw-tar.ts";
import { makeImage, openWorld, storeImage, type TestImage } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

const BASE: readonly RawEntry[] = [
  { name: "etc/", type: "5", mode: 0o750, uid: 3, gid: 4 },
  { name: "etc/motd", body: "base" },
  { name: "gone", body: "soon" },
];
const TOP: readonly RawEntry[] = [
  { name: "etc/motd", body: "top" },
  { name: ".wh.gone", body: "" },
];

describe.skipIf(!IS_ROOT)(`a container's mount${NEEDS_ROOT}`, () => {
  test.for([1, 2, 130, 500])("shows %s layers and takes changes", async (count) => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage(...manyLayers(count));
    await storeImage(store, image);
    const container = await createContainer(store, image);
    const { mountPoint, count: users } = await store.mounts.mountContainer(container.id);
    expect(users).toBe(1);
    expect(readFileSync(join(mountPoint, "file"), "utf8")).toBe(`layer ${count - 1}`);
    expect(readdirSync(mountPoint).length).toBe(count + 1);
    writeFileSync(join(mountPoint, "written"), "here");
    expect(await store.mounts.unmountContainer(container.id)).toBe(0);
    const upper = join(world.root, "containers", container.id, "upper");
    expect(readFileSync(join(upper, "written"), "utf8")).toBe("here");
    expect(existsSync(join(mountPoint, "file"))).toBe(false);
  });

  test("refuses 501 layers by name, before the kernel does", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage(...manyLayers(501));
    await storeImage(store, image);
    const { id } = await createContainer(store, image);
    const mount = store.mounts.mountContainer(id);
    await expect(mount).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
    const readOnly = store.mounts.mountImage(image.id);
    await expect(readOnly).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
  });

  test("hides what an upper layer removed, and keeps the metadata of implied directories", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage(BASE, TOP);
    await storeImage(store, image);
    const { id } = await createContainer(store, image);
    const { mountPoint } = await store.mounts.mountContainer(id);
    expect(readFileSync(join(mountPoint, "etc/motd"), "utf8")).toBe("top");
    expect(existsSync(join(mountPoint, "gone"))).toBe(false);
    const { mode, uid, gid } = statSync(join(mountPoint, "etc"));
    expect([mode & 0o7777, uid, gid]).toEqual([0o750, 3, 4]);
  });

  test("has the root directory's metadata of the image", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage([{ name: "./", type: "5", mode: 0o711, uid: 7, gid: 8 }], TOP);
    await storeImage(store, image);
    const { id } = await createContainer(store, image);
    const { mountPoint } = await store.mounts.mountContainer(id);
    const { mode, uid, gid } = statSync(mountPoint);
    expect([mode & 0o7777, uid, gid]).toEqual([0o711, 7, 8]);
  });

  test("K20: works without an image, and in a root whose path has odd characters", async () => {
    await using world = await openWorld();
    const root = join(world.path, "a:b,c\\d e\n", "x".repeat(200), "y".repeat(200));
    const runRoot = join(world.path, "run two");
    await using store = await openStore({ root, runRoot });
    const image = makeImage(BASE, TOP);
    await storeImage(store, image);
    const { id } = await createContainer(store, image);
    const empty = await store.containers.create({ names: ["empty"], metadata: "" });
    for (const mounted of [id, empty.id]) await store.mounts.mountContainer(mounted);
    expect(await store.mounts.list()).toHaveLength(2);
    for (const mounted of [id, empty.id]) await store.mounts.unmountContainer(mounted);
    expect(await store.mounts.list()).toEqual([]);
  });

  test("R15: is counted, and unmounted with its last user", async () => {
    await using world = await openWorld();
    const { store } = world;
    const container = await store.containers.create({ names: ["c"], metadata: "" });
    const { id } = container;
    expect((await store.mounts.mountContainer(id)).count).toBe(1);
    expect((await store.mounts.mountContainer(id)).count).toBe(2);
    expect(await store.mounts.unmountContainer(id)).toBe(1);
    expect(await store.mounts.mountPointOf(id)).toBeDefined();
    expect(await store.mounts.unmountContainer(id)).toBe(0);
    expect(await store.mounts.mountPointOf(id)).toBeUndefined();
    expect(await store.mounts.unmountContainer(id)).toBe(0);
    expect(await store.mounts.unmountContainer("0".repeat(64))).toBe(0);
  });

  test("R15: a forced unmount ends it whatever the count", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    for (let user = 0; user < 3; user += 1) await store.mounts.mountContainer(id);
    expect(await store.mounts.unmountContainer(id, { force: true })).toBe(0);
    expect(await store.mounts.mountPointOf(id)).toBeUndefined();
    expect((await store.mounts.mountContainer(id)).count).toBe(1);
  });

  test("R15, K08: a count that the kernel's table does not bear out starts anew", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    await store.mounts.mountContainer(id);
    const { mountPoint } = await store.mounts.mountContainer(id);
    expect(spawnSync("umount", [mountPoint]).status).toBe(0);
    expect(await store.mounts.mountPointOf(id)).toBeUndefined();
    expect((await store.mounts.mountContainer(id)).count).toBe(1);
  });

  test.for(["missing", "damaged"])(
    "R15: a mount whose count is %s is adopted, not made twice",
    async (state) => {
      await using world = await openWorld();
      const { store } = world;
      const { id } = await store.containers.create({ names: ["c"], metadata: "" });
      const { mountPoint } = await store.mounts.mountContainer(id);
      const file = join(world.runRoot, "mounts", id, "mount.json");
      if (state === "missing") rmSync(file);
      else writeFileSync(file, "\0\0");
      expect(await store.mounts.mountContainer(id)).toEqual({ mountPoint, count: 1 });
      expect(tableEntries(mountPoint)).toBe(1);
      expect(await store.mounts.unmountContainer(id)).toBe(0);
      expect(tableEntries(mountPoint)).toBe(0);
    },
  );

  test("D16: names who uses it when it can not be unmounted", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    const { mountPoint } = await store.mounts.mountContainer(id);
    const before = process.cwd();
    process.chdir(mountPoint);
    try {
      const unmounted = store.mounts.unmountContainer(id);
      await expect(unmounted).rejects.toMatchObject({
        code: "ERR_STORE_MOUNT_BUSY",
        kind: "InUse",
        message: expect.stringContaining(String(process.pid)),
      });
      expect(await store.mounts.unmountContainer(id, { force: true })).toBe(0);
      expect(await store.mounts.mountPointOf(id)).toBeUndefined();
    } finally {
      process.chdir(before);
    }
  });

  test("is refused, and not forgotten by who unmounts it here, while another mount namespace has the same mounted", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    const image = makeImage(BASE);
    await storeImage(store, image);
    const { mountPoint } = await store.mounts.mountContainer(id);
    const mountedImage = await store.mounts.mountImage(image.id);
    const other = spawn("unshare", ["--mount", "sh", "-c", "echo ready; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise((resolve) => other.stdout.once("data", resolve));
    const namespaceOf = readlinkSync(`/proc/${other.pid}/ns/mnt`);
    for (const path of [mountPoint, mountedImage.mountPoint]) {
      const file = join(path, "../mount.json");
      const record: object = JSON.parse(readFileSync(file, "utf8"));
      expect(spawnSync("umount", [path]).status).toBe(0);
      writeFileSync(file, JSON.stringify({ ...record, namespace: namespaceOf }));
    }
    // To end it here changes nothing there.
    expect(await store.mounts.unmountContainer(id, { force: true })).toBe(1);
    expect(await store.mounts.unmountImage(image.id)).toBe(1);
    const again = store.mounts.mountContainer(id);
    await expect(again).rejects.toMatchObject({ code: "ERR_STORE_MOUNT_BUSY" });
    const removed = store.images.remove(image.id);
    await expect(removed).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_IN_USE" });
    const ended = new Promise((resolve) => other.once("exit", resolve));
    other.stdin.end("\n");
    await ended;
    expect((await store.mounts.mountContainer(id)).count).toBe(1);
    expect(await store.mounts.unmountImage(image.id)).toBe(0);
    await store.images.remove(image.id);
  });

  test("R14, K11: comes back after a reboot took the run root", async () => {
    await using world = await openWorld();
    const image = makeImage(BASE, TOP);
    await storeImage(world.store, image);
    const { id } = await createContainer(world.store, image);
    const { mountPoint } = await world.store.mounts.mountContainer(id);
    await world.store.containers.ensureRunDir(id);
    writeFileSync(join(mountPoint, "kept"), "yes");
    await world.store.mounts.unmountContainer(id);
    rmSync(world.runRoot, { recursive: true });
    await using store = await openStore(world);
    expect(existsSync(store.containers.runDir(id))).toBe(false);
    const again = await store.mounts.mountContainer(id);
    expect(again).toEqual({ mountPoint, count: 1 });
    expect(readFileSync(join(mountPoint, "kept"), "utf8")).toBe("yes");
  });

  test("is a named error when the kernel refuses", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    const work = join(world.root, "containers", id, "work");
    rmSync(work, { recursive: true });
    expect(spawnSync("sh", ["-c", `mkdir ${work} && mount -t tmpfs none ${work}`]).status).toBe(0);
    try {
      await expect(store.mounts.mountContainer(id)).rejects.toMatchObject({
        code: "ERR_STORE_MOUNT_FAILED",
        kind: "StoreIo",
      });
    } finally {
      spawnSync("umount", [work]);
    }
  });

  test("K16: is a named error for a container that is not there, or whose layer is not", async () => {
    await using world = await openWorld();
    const { store } = world;
    const unknown = store.mounts.mountContainer("1".repeat(64));
    await expect(unknown).rejects.toMatchObject({ code: "ERR_STORE_CONTAINER_NOT_FOUND" });
    const image = makeImage(BASE, TOP);
    await storeImage(store, image);
    const { id } = await createContainer(store, image);
    rmSync(join(world.root, "layers", image.layerIDs[0] ?? ""), { recursive: true });
    const mount = store.mounts.mountContainer(id);
    await expect(mount).rejects.toMatchObject({
      code: "ERR_STORE_LAYER_NOT_FOUND",
      kind: "StoreCorrupt",
    });
  });
});

describe.skipIf(!IS_ROOT)(`an image's mount${NEEDS_ROOT}`, () => {
  test.for([0, 1, 3])("shows %s layers, read only", async (count) => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage(...manyLayers(count));
    await storeImage(store, image);
    const { mountPoint } = await store.mounts.mountImage(image.id);
    expect(readdirSync(mountPoint)).toHaveLength(count === 0 ? 0 : count + 1);
    expect(() => writeFileSync(join(mountPoint, "new"), "")).toThrow("EROFS");
    expect(await store.mounts.unmountImage(image.id)).toBe(0);
  });

  test("keeps the image from being removed", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage(BASE);
    await storeImage(store, image);
    await store.mounts.mountImage(image.id);
    const removed = store.images.remove(image.id);
    await expect(removed).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_IN_USE" });
    await store.mounts.unmountImage(image.id);
    await store.images.remove(image.id);
    const mounted = store.mounts.mountImage(image.id);
    await expect(mounted).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_NOT_FOUND" });
  });
});

/** Layers that each write one shared file and one of their own. */
function manyLayers(count: number): readonly (readonly RawEntry[])[] {
  return Array.from({ length: count }, (_, index) => [
    { name: "file", body: `layer ${index}` },
    { name: `file-${index}`, body: "" },
  ]);
}

async function createContainer(store: Store, image: TestImage): Promise<ContainerRecord> {
  return await store.containers.create({
    names: ["test"],
    imageId: image.id,
    topLayer: image.layerIDs.at(-1),
    metadata: "",
  });
}

function tableEntries(mountPoint: string): number {
  const table = readFileSync("/proc/self/mountinfo", "utf8");
  return table.split("\n").filter((line) => line.includes(` ${mountPoint} `)).length;
}
