import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { type IdMap, openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { makeImage, openWorld, storeImage } from "./support/store-world.ts";

const range = (containerId: number, hostId: number, size: number) => ({
  containerId,
  hostId,
  size,
});
const SHIFTED: IdMap = { uids: [range(0, 100_000, 65_536)], gids: [range(0, 200_000, 65_536)] };
const OTHER: IdMap = { uids: [range(0, 300_000, 65_536)], gids: [range(0, 300_000, 65_536)] };
const IMAGE = makeImage(
  [
    { name: "./", type: "5", mode: 0o755 },
    { name: "etc", type: "5", mode: 0o755, uid: 3, gid: 4 },
    { name: "etc/motd", body: "base", uid: 5, gid: 6, mode: 0o644 },
    { name: "far", body: "x", uid: 70_000 },
  ],
  [{ name: "etc/top", body: "top", uid: 0, gid: 0 }],
);
const ownerOf = (path: string): string => `${lstatSync(path).uid}:${lstatSync(path).gid}`;

describe.skipIf(!IS_ROOT)(`mounts for a user namespace${NEEDS_ROOT}`, () => {
  test("V61 show the image's users as those of the map, and keep what is written as the image's own", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, IMAGE);
    const { id } = await store.containers.create({
      names: ["c"],
      metadata: "",
      topLayer: IMAGE.layerIDs.at(-1),
    });
    const { mountPoint } = await store.mounts.mountContainer(id, { idMap: SHIFTED });
    expect(ownerOf(mountPoint)).toBe("100000:200000");
    expect(ownerOf(join(mountPoint, "etc"))).toBe("100003:200004");
    expect(ownerOf(join(mountPoint, "etc/motd"))).toBe("100005:200006");
    expect(ownerOf(join(mountPoint, "etc/top"))).toBe("100000:200000");
    const script = `set -e; id -u; stat -c %u:%g etc/motd; echo own > etc/new; chown 7:8 etc/new
      echo more >> etc/motd; chmod 600 etc/motd`;
    expect(await insideNamespace(mountPoint, SHIFTED, script)).toBe("0\n5:6\n");
    expect(ownerOf(join(mountPoint, "etc/new"))).toBe("100007:200008");
    const container = join(world.root, "containers", id);
    expect(ownerOf(join(container, "upper/etc/new"))).toBe("7:8");
    expect(ownerOf(join(container, "upper/etc/motd"))).toBe("5:6");
    // What lies above a mapped tree is no business of those who are mapped.
    for (const path of [
      world.root,
      world.runRoot,
      container,
      join(container, "work"),
      join(world.root, "layers"),
    ]) {
      expect(`${path} ${ownerOf(path)} ${statSync(path).mode & 0o077}`).toBe(`${path} 0:0 0`);
    }
    await store.mounts.unmountContainer(id);
    const again = await store.mounts.mountContainer(id, { idMap: OTHER });
    expect(ownerOf(join(again.mountPoint, "etc/new"))).toBe("300007:300008");
    await store.mounts.unmountContainer(id);
    const plain = await store.mounts.mountContainer(id);
    expect(ownerOf(join(plain.mountPoint, "etc/new"))).toBe("7:8");
  });

  test("leave nothing mounted or open behind, and no process", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, IMAGE);
    const before = { mounts: mountLines(), open: openFiles(), children: children() };
    await store.mounts.mountImage(IMAGE.id, { idMap: SHIFTED });
    expect(mountLines()).toBe(before.mounts + 1);
    await store.mounts.unmountImage(IMAGE.id);
    expect([mountLines(), children()]).toEqual([before.mounts, before.children]);
    // Threads that are idle end meanwhile, with what they hold open.
    expect(openFiles()).toBeLessThanOrEqual(before.open);
  });

  test("of images are read only, up to 500 layers", async () => {
    await using world = await openWorld();
    const { store } = world;
    const image = makeImage(...Array.from({ length: 500 }, (_, n) => [{ name: `f${n}`, uid: n }]));
    await storeImage(store, image);
    const { mountPoint } = await store.mounts.mountImage(image.id, { idMap: SHIFTED });
    expect(ownerOf(join(mountPoint, "f0"))).toBe("100000:200000");
    expect(ownerOf(join(mountPoint, "f499"))).toBe("100499:200000");
    expect(() => writeFileSync(join(mountPoint, "f0"), "")).toThrow("EROFS");
    await store.mounts.unmountImage(image.id);
  });

  test("are counted with those of the same map, and refused to any other while they last", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    await store.mounts.mountContainer(id, { idMap: SHIFTED });
    for (const options of [{ idMap: OTHER }, {}]) {
      const mounted = store.mounts.mountContainer(id, options);
      await expect(mounted).rejects.toMatchObject({ code: "ERR_STORE_MOUNT_BUSY" });
    }
    expect((await store.mounts.mountContainer(id, { idMap: { ...SHIFTED } })).count).toBe(2);
  });

  test.for<[string, IdMap]>([
    ["no range", { uids: [], gids: SHIFTED.gids }],
    ["an ID of less than 0", { ...SHIFTED, uids: [range(-1, 0, 1)] }],
    ["an ID of 2^32 - 1", { ...SHIFTED, gids: [range(0, 2 ** 32 - 1, 1)] }],
    ["a size of 0", { ...SHIFTED, gids: [range(0, 0, 0)] }],
    ["a size that is no number", { ...SHIFTED, gids: [range(0, 0, Number.NaN)] }],
    ["ranges that overlap here", { ...SHIFTED, uids: [range(0, 10, 5), range(5, 14, 5)] }],
    [
      "ranges that overlap in the container",
      { ...SHIFTED, uids: [range(0, 10, 5), range(4, 20, 5)] },
    ],
    ["341 ranges", { ...SHIFTED, uids: Array.from({ length: 341 }, (_, n) => range(n, n, 1)) }],
  ])("with a map of %s are refused before anything is done", async ([, idMap]) => {
    await using world = await openWorld();
    const { id } = await world.store.containers.create({ names: ["c"], metadata: "" });
    await expect(world.store.mounts.mountContainer(id, { idMap })).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_ARGUMENT",
    });
    expect(await world.store.mounts.list()).toEqual([]);
  });
});

describe.skipIf(!IS_ROOT)(`an upper directory${NEEDS_ROOT}`, () => {
  test("is not mounted a second time by way of another run root, nor while both try at once", async () => {
    await using world = await openWorld();
    const { id } = await world.store.containers.create({ names: ["c"], metadata: "" });
    await using other = await openStore({ root: world.root, runRoot: join(world.path, "run-2") });
    for (let round = 0; round < 3; round += 1) {
      const both = await Promise.allSettled([
        world.store.mounts.mountContainer(id),
        other.mounts.mountContainer(id),
      ]);
      expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      const refused = both.find(({ status }) => status === "rejected");
      expect(refused).toMatchObject({ reason: { code: "ERR_STORE_MOUNT_BUSY", kind: "InUse" } });
      await world.store.mounts.unmountContainer(id);
      await other.mounts.unmountContainer(id);
    }
  });

  test("is not mounted again while a process still uses the mount that was taken away by force", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    const { mountPoint } = await store.mounts.mountContainer(id);
    const user = spawn("sleep", ["600"], { cwd: mountPoint, stdio: "ignore" });
    await once(user, "spawn");
    await store.mounts.unmountContainer(id, { force: true });
    const again = store.mounts.mountContainer(id);
    await expect(again).rejects.toMatchObject({ code: "ERR_STORE_MOUNT_BUSY" });
    user.kill("SIGKILL");
    await once(user, "exit");
    expect((await store.mounts.mountContainer(id)).count).toBe(1);
  });

  test("is not mounted again while a container keeps it mounted in a namespace of its own", async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    await store.mounts.mountContainer(id);
    const holder = spawn(
      "unshare",
      ["--mount", "--propagation", "private", "sh", "-c", "echo; read x"],
      {
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    await once(holder.stdout, "data");
    await store.mounts.unmountContainer(id);
    const again = store.mounts.mountContainer(id);
    await expect(again).rejects.toMatchObject({ code: "ERR_STORE_MOUNT_BUSY" });
    const ended = once(holder, "exit");
    holder.stdin.end("\n");
    await ended;
    expect((await store.mounts.mountContainer(id)).count).toBe(1);
  });
});

describe.skipIf(!IS_ROOT)(`the options of a mount${NEEDS_ROOT}`, () => {
  test("V52 are stated, and the kernel's table has none that would follow what a layer says", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, IMAGE);
    const { id } = await store.containers.create({
      names: ["c"],
      metadata: "",
      topLayer: IMAGE.layerIDs.at(-1),
    });
    const image = await store.mounts.mountImage(IMAGE.id);
    const container = await store.mounts.mountContainer(id);
    for (const { mountPoint } of [image, container]) {
      const options = optionsOf(mountPoint);
      for (const [key, value] of [
        ["index", "off"],
        ["metacopy", "off"],
        ["redirect_dir", "nofollow"],
        ["xino", "off"],
      ] as const) {
        // The kernel does not show what is its own default.
        const shown = options.get(key) ?? defaultOf(key);
        expect(`${key}=${shown}`).toBe(`${key}=${value}`);
      }
    }
    expect(optionsOf(image.mountPoint).has("ro")).toBe(true);
    await store.mounts.unmountImage(IMAGE.id);
  });
});

describe.skipIf(!IS_ROOT)(`places with odd names${NEEDS_ROOT}`, () => {
  test.for([":", ",", "\\", " ", "\n", "a:b,c\\d e\nf\t", "=", "upperdir=x", "é\u{1f4e6}"])(
    "%j: mounts work, are listed and counted",
    async (odd) => {
      await using world = await openWorld();
      const [root, runRoot] = [join(world.path, `root${odd}`), join(world.path, `run${odd}`)];
      mkdirSync(root);
      await using store = await openStore({ root, runRoot });
      await storeImage(store, IMAGE);
      const { id } = await store.containers.create({
        names: ["c"],
        metadata: "",
        topLayer: IMAGE.layerIDs.at(-1),
      });
      const { mountPoint } = await store.mounts.mountContainer(id, { idMap: SHIFTED });
      expect(readFileSync(join(mountPoint, "etc/top"), "utf8")).toBe("top");
      expect(await store.mounts.list()).toEqual([{ id, mountPoint, count: 1 }]);
      expect((await store.mounts.mountContainer(id, { idMap: SHIFTED })).count).toBe(2);
      await store.mounts.unmountContainer(id, { force: true });
      expect(await store.mounts.list()).toEqual([]);
    },
  );
});

/** Runs a script as root of a user namespace with this map, in a directory that it got from outside. */
async function insideNamespace(cwd: string, map: IdMap, script: string): Promise<string> {
  const waiting =
    'exec 3<&0; read go <&3; exec setpriv --reuid 0 --regid 0 --clear-groups sh -c "$1"';
  const child = spawn("unshare", ["--user", "--keep-caps", "sh", "-c", waiting, "sh", script], {
    cwd,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const own = readlinkSync("/proc/self/ns/user");
  while (readlinkSync(`/proc/${child.pid}/ns/user`) === own) await new Promise(setImmediate);
  const lines = (ranges: IdMap["uids"]): string =>
    ranges.map(({ containerId, hostId, size }) => `${containerId} ${hostId} ${size}\n`).join("");
  writeFileSync(`/proc/${child.pid}/uid_map`, lines(map.uids));
  writeFileSync(`/proc/${child.pid}/gid_map`, lines(map.gids));
  child.stdin.end("go\n");
  let output = "";
  child.stdout.on("data", (data: Buffer) => void (output += data.toString()));
  await once(child, "close");
  return output;
}

function optionsOf(mountPoint: string): ReadonlyMap<string, string> {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const line = lines.findLast((one) => one.split(" ")[4] === mountPoint) ?? "";
  const [before = "", after = ""] = line.split(" - ");
  const all = [before.split(" ")[5] ?? "", after.split(" ").slice(2).join(" ")].join(",");
  return new Map(
    all.split(",").map((option) => [option.split("=")[0] ?? "", option.split("=")[1] ?? ""]),
  );
}

function defaultOf(key: string): string {
  const parameter = key === "xino" ? "xino_auto" : key;
  return readFileSync(`/sys/module/overlay/parameters/${parameter}`, "utf8").trim() === "Y"
    ? "on"
    : "off";
}

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

function mountLines(): number {
  return readFileSync("/proc/self/mountinfo", "utf8").split("\n").length;
}

function children(): string {
  return spawnSync("ps", ["--ppid", String(process.pid), "-o", "comm="], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line !== "ps")
    .join();
}
