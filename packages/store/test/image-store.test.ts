import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Digest, encodedOf } from "@stowage/content";
import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { imageFile, makeImage, openWorld, recordOf, storeImage } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

const ONE = makeImage([{ name: "shared", body: "base" }], [{ name: "one", body: "1" }]);
const TWO = makeImage([{ name: "shared", body: "base" }], [{ name: "two", body: "2" }]);
const THREE = makeImage([{ name: "three", body: "3" }]);

describe("images", () => {
  test("R20: are stored only after what they consist of", async () => {
    await using world = await openWorld();
    const { store } = world;
    const put = store.images.put(recordOf(ONE));
    await expect(put).rejects.toMatchObject({ code: "ERR_STORE_BLOB_NOT_FOUND" });
    for (const [digest, bytes] of ONE.bytes) {
      await store.blobs.write({ digest, size: bytes.length }, chunksOf(bytes));
    }
    const early = store.images.put(recordOf(ONE));
    await expect(early).rejects.toMatchObject({ code: "ERR_STORE_LAYER_NOT_FOUND" });
    const named = store.images.setName("a:1", ONE.id);
    await expect(named).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_NOT_FOUND" });
    await storeImage(store, ONE, "a:1");
    expect(await store.images.resolveName("a:1")).toBe(ONE.id);
  });

  test("keep every manifest that they came by, the latest first", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, ONE);
    const before = await store.images.get(ONE.id);
    const record = recordOf(ONE);
    const elsewhere = { manifest: ONE.manifest, repository: "elsewhere/app" };
    await store.images.put({ ...record, manifests: [elsewhere] });
    const merged = await store.images.get(ONE.id);
    expect(merged.manifests).toEqual([elsewhere, ...record.manifests]);
    expect(merged.created).toBe(before.created);
    await store.images.put(record);
    expect((await store.images.get(ONE.id)).manifests).toEqual([...record.manifests, elsewhere]);
  });

  test("are found by an unambiguous beginning of their ID", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, ONE);
    const hex = encodedOf(ONE.id);
    expect(await store.images.findByPrefix(hex.slice(0, 3))).toBe(ONE.id);
    expect(await store.images.findByPrefix(`sha256:${hex.slice(0, 12)}`)).toBe(ONE.id);
    expect(await store.images.findByPrefix(hex.slice(0, 2))).toBeUndefined();
    expect(await store.images.findByPrefix("not hex")).toBeUndefined();
  });

  test("of the same beginning are ambiguous", async () => {
    await using world = await openWorld();
    const { store } = world;
    const twin = `sha256:${encodedOf(THREE.id).slice(0, 10)}${"0".repeat(54)}` as Digest;
    await storeImage(store, THREE);
    const record = { ...recordOf(THREE), id: twin, config: { ...THREE.config, digest: twin } };
    mkdirSync(join(world.root, "images", encodedOf(twin)));
    writeFileSync(imageFile(world.root, twin), JSON.stringify(record));
    const found = store.images.findByPrefix(encodedOf(twin).slice(0, 10));
    await expect(found).rejects.toMatchObject({ code: "ERR_STORE_AMBIGUOUS_ID" });
  });

  test("go with their names, layers and blobs, as far as no other needs them", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, ONE, "one:1");
    await storeImage(store, TWO, "two:1");
    await store.images.setName("one:2", ONE.id);
    await store.images.remove(ONE.id);
    expect((await store.images.list()).images.map(({ id }) => id)).toEqual([TWO.id]);
    expect(await store.images.allNames()).toMatchObject([{ name: "two:1" }]);
    expect(readdirSync(join(world.root, "layers")).toSorted()).toEqual(TWO.layerIDs.toSorted());
    const kept = (await Array.fromAsync(store.blobs.walk())).map(({ digest }) => digest);
    expect(kept.toSorted()).toEqual([...TWO.bytes.keys()].toSorted());
    await store.images.remove(TWO.id);
    expect(readdirSync(join(world.root, "layers"))).toEqual([]);
    expect(await Array.fromAsync(store.blobs.walk())).toEqual([]);
    for (const empty of ["trash", "names", "images"]) {
      expect(readdirSync(join(world.root, empty))).toEqual([]);
    }
    const again = store.images.remove(ONE.id);
    await expect(again).rejects.toMatchObject({
      code: "ERR_STORE_IMAGE_NOT_FOUND",
      kind: "ImageNotFound",
    });
  });

  test("that a container uses are not removed, and the error names it", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, ONE, "one:1");
    const topLayer = ONE.layerIDs.at(-1);
    const container = { names: ["web"], imageId: ONE.id, topLayer, metadata: "" };
    const { id } = await store.containers.create(container);
    await expect(store.images.remove(ONE.id)).rejects.toMatchObject({
      code: "ERR_STORE_IMAGE_IN_USE",
      kind: "ImageInUse",
      message: expect.stringContaining("web"),
    });
    expect(await store.images.resolveName("one:1")).toBe(ONE.id);
    await store.containers.remove(id);
    await store.images.remove(ONE.id);
  });

  test("R22: leave their content until the last lease ends, whoever holds it", async () => {
    await using world = await openWorld();
    await using other = await openStore(world);
    await storeImage(world.store, ONE, "one:1");
    {
      await using _everything = await other.createLease();
      await using _someOfIt = await other.createLease({ layers: ONE.layerIDs.slice(0, 1) });
      await world.store.images.remove(ONE.id);
      expect(await world.store.images.resolveName("one:1")).toBeUndefined();
      expect(readdirSync(join(world.root, "layers"))).toHaveLength(2);
      await _everything[Symbol.asyncDispose]();
      expect(readdirSync(join(world.root, "layers"))).toEqual(ONE.layerIDs.slice(0, 1));
    }
    expect(readdirSync(join(world.root, "layers"))).toEqual([]);
    expect(await Array.fromAsync(other.blobs.walk())).toEqual([]);
    expect(readdirSync(join(world.root, "leases"))).toEqual([]);
  });

  test("R22: are not collected because of a lease whose process is gone", async () => {
    await using world = await openWorld();
    await storeImage(world.store, ONE);
    const lease = { version: 1, pid: 1, isEverything: true, blobs: [], layers: [] };
    writeFileSync(join(world.root, "leases", `${"a".repeat(32)}.json`), JSON.stringify(lease));
    await world.store.images.remove(ONE.id);
    expect(readdirSync(join(world.root, "layers"))).toEqual([]);
    expect(readdirSync(join(world.root, "leases"))).toEqual([]);
  });

  test("whose content only a container needs leave it until that is gone", async () => {
    await using world = await openWorld();
    const { store } = world;
    await storeImage(store, ONE);
    const topLayer = ONE.layerIDs.at(-1);
    const { id } = await store.containers.create({ names: [], topLayer, metadata: "" });
    await store.images.remove(ONE.id);
    expect(readdirSync(join(world.root, "layers"))).toHaveLength(2);
    await store.containers.remove(id);
    expect(readdirSync(join(world.root, "layers"))).toEqual([]);
    expect(await Array.fromAsync(store.blobs.walk())).toEqual([]);
  });
});

describe("R3: names", () => {
  test("move to the image that they are given to", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, ONE, "app:1");
    await images.setName("app:2", ONE.id);
    await storeImage(world.store, TWO, "app:1");
    expect(await images.resolveName("app:1")).toBe(TWO.id);
    expect(await images.namesOf(ONE.id)).toEqual(["app:2"]);
    expect(await images.namesOf(TWO.id)).toEqual(["app:1"]);
  });

  test("are listed newest first, and a name that is set again is the newest", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, ONE);
    for (const name of ["b", "c", "a", "b"]) await images.setName(name, ONE.id);
    expect(await images.namesOf(ONE.id)).toEqual(["b", "a", "c"]);
    expect((await images.allNames()).map(({ name }) => name)).toEqual(["b", "a", "c"]);
  });

  test("go one at a time, and the image stays", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, ONE, "app:1");
    expect(await images.removeName("app:1")).toBe(true);
    expect(await images.removeName("app:1")).toBe(false);
    expect(await images.find(ONE.id)).toBeDefined();
  });

  test("may be anything printable, however long", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, ONE);
    for (const name of ["../../etc/passwd", ".", `h/${"x".repeat(4000)}`, "é/ü"]) {
      await images.setName(name, ONE.id);
      expect(await images.resolveName(name)).toBe(ONE.id);
    }
    for (const name of ["", "a\nb", "a\0b", "x".repeat(5000)]) {
      const named = images.setName(name, ONE.id);
      await expect(named).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ARGUMENT" });
    }
  });
});

describe("K05: damaged records", () => {
  const damages: readonly (readonly [string, (text: string) => string | Buffer])[] = [
    ["truncated", (text) => text.slice(0, text.length / 2)],
    ["of 0 bytes", () => ""],
    ["{}", () => "{}"],
    ["[]", () => "[]"],
    ["of NULs", (text) => Buffer.alloc(text.length)],
    ["of a later version", (text) => text.replace('"version": 1', '"version": 2')],
    ["with an unknown field", (text) => text.replace('"version"', '"extra": 1, "version"')],
    ["with a field twice", (text) => text.replace('"version"', '"version": 1, "version"')],
    ["with a line twice", (text) => text.replace(/ {2}"version".*\n/, "$&$&")],
    [
      "with a byte that is no UTF-8",
      (text) => Buffer.from(text.replace(/"repository": "/, "$&\xff"), "latin1"),
    ],
    ["of another image", (text) => text.replaceAll(encodedOf(ONE.id), "0".repeat(64))],
    ["not UTF-8", () => Buffer.from([0x7b, 0xff, 0x7d])],
    ["of 10 MiB", () => Buffer.alloc(10 * 1024 * 1024, 0x20)],
  ];

  test.for(damages)("%s hide one image, and are named", async ([, damage]) => {
    await using world = await openWorld();
    await storeImage(world.store, ONE, "one:1");
    await storeImage(world.store, TWO, "two:1");
    const file = imageFile(world.root, ONE.id);
    writeFileSync(file, damage(readFileSync(file, "utf8")));
    await using store = await openStore(world);
    const { images, damaged } = await store.images.list();
    expect(images.map(({ id }) => id)).toEqual([TWO.id]);
    expect(damaged).toMatchObject([{ code: "ERR_STORE_CORRUPT", kind: "StoreCorrupt" }]);
    expect(damaged[0]?.message).toContain(encodedOf(ONE.id));
    const read = store.images.get(ONE.id);
    await expect(read).rejects.toMatchObject({ code: "ERR_STORE_CORRUPT" });
    await storeImage(store, ONE, "one:1");
    expect((await store.images.list()).damaged).toEqual([]);
    writeFileSync(file, damage(readFileSync(file, "utf8")));
    await store.images.remove(ONE.id);
    expect((await store.images.list()).images.map(({ id }) => id)).toEqual([TWO.id]);
  });

  test("that are a FIFO, a directory or a symbolic link are damaged too", async () => {
    await using world = await openWorld();
    await storeImage(world.store, ONE);
    const file = imageFile(world.root, ONE.id);
    for (const command of ["mkfifo", "mkdir", "ln -s /etc/passwd"]) {
      rmSync(file, { recursive: true });
      expect(spawnSync("sh", ["-c", `${command} ${file}`]).status).toBe(0);
      expect((await world.store.images.list()).damaged).toHaveLength(1);
    }
  });

  test("of a name hide that name", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, ONE, "a");
    await images.setName("b", ONE.id);
    const names = join(world.root, "names");
    for (const entry of readdirSync(names)) {
      if (readFileSync(join(names, entry), "utf8").includes('"a"'))
        writeFileSync(join(names, entry), "");
    }
    expect(await images.namesOf(ONE.id)).toEqual(["b"]);
    expect((await images.list()).damaged).toMatchObject([{ code: "ERR_STORE_CORRUPT" }]);
    await expect(images.resolveName("a")).rejects.toMatchObject({ code: "ERR_STORE_CORRUPT" });
    await images.setName("a", ONE.id);
    expect(await images.resolveName("a")).toBe(ONE.id);
  });
});

describe("the root as an OCI image layout", () => {
  const names = ["127.0.0.1:5000/ns/app:1", "docker.io/library/app:latest"];

  test("lists each name, and follows it when it moves", async () => {
    await using world = await openWorld();
    const { images } = world.store;
    await storeImage(world.store, ONE, names[0]);
    await images.setName(names[1] ?? "", ONE.id);
    expect(refsOf(world.root)).toEqual({
      [names[0] ?? ""]: ONE.manifest.digest,
      [names[1] ?? ""]: ONE.manifest.digest,
    });
    await storeImage(world.store, TWO, names[0]);
    expect(refsOf(world.root)[names[0] ?? ""]).toBe(TWO.manifest.digest);
    await images.remove(ONE.id);
    expect(refsOf(world.root)).toEqual({ [names[0] ?? ""]: TWO.manifest.digest });
    expect(statSync(join(world.root, "index.json")).mode & 0o777).toBe(0o600);
  });

  test("D07: that can not be replaced is a named error, and the name is given all the same", async () => {
    await using world = await openWorld();
    await storeImage(world.store, ONE, names[0]);
    const file = join(world.root, "index.json");
    rmSync(file);
    mkdirSync(join(file, "in the way"), { recursive: true });
    const named = world.store.images.setName("a", ONE.id);
    await expect(named).rejects.toMatchObject({ code: "ERR_STORE_IO" });
    expect(await world.store.images.resolveName("a")).toBe(ONE.id);
  });

  test.for(["", "{", undefined])("is mended at the next opening when it is %j", async (text) => {
    await using world = await openWorld();
    await storeImage(world.store, ONE, names[0]);
    const file = join(world.root, "index.json");
    const before = readFileSync(file, "utf8");
    rmSync(file);
    if (text !== undefined) writeFileSync(file, text);
    if (text === "{") spawnSync("touch", ["-d", "2001-01-01", file]);
    await using _store = await openStore(world);
    expect(readFileSync(file, "utf8")).toBe(before);
  });

  test.runIf(hasTool("skopeo")).for(names)("is read by skopeo (if installed): %s", async (name) => {
    await using world = await openWorld();
    await storeImage(world.store, ONE, name);
    await storeImage(world.store, TWO, "other:1");
    const { stdout, stderr } = run("skopeo", ["inspect", `oci:${world.root}:${name}`]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({ Digest: ONE.manifest.digest });
  });

  test.runIf(IS_ROOT && hasTool("umoci")).for(names)(
    `is read by umoci (if installed): %s${NEEDS_ROOT}`,
    async (name) => {
      await using world = await openWorld();
      await storeImage(world.store, ONE, name);
      await storeImage(world.store, TWO, "other:1");
      expect(run("umoci", ["ls", "--layout", world.root]).stdout.split("\n")).toContain(name);
      const bundle = mkdtempSync(join(tmpdir(), "stowage-umoci-"));
      const unpacked = run("umoci", ["unpack", "--image", `${world.root}:${name}`, `${bundle}/b`]);
      expect(unpacked.stderr).not.toContain("failed");
      expect(readFileSync(join(bundle, "b/rootfs/one"), "utf8")).toBe("1");
      rmSync(bundle, { recursive: true });
    },
  );
});

function refsOf(root: string): Record<string, string> {
  const index: { manifests: { digest: string; annotations: Record<string, string> }[] } =
    JSON.parse(readFileSync(join(root, "index.json"), "utf8"));
  return Object.fromEntries(
    index.manifests.map((entry) => [
      entry.annotations["org.opencontainers.image.ref.name"] ?? "",
      entry.digest,
    ]),
  );
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function hasTool(name: string): boolean {
  return spawnSync(name, ["--version"]).status === 0;
}

function run(command: string, args: readonly string[]): { stdout: string; stderr: string } {
  return spawnSync(command, args, { encoding: "utf8" });
}
