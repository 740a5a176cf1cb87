import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Digest, digestOf } from "@stowage/content";
import { type CheckReport, openStore, type RepairSources } from "@stowage/store";
import { describe, expect, onTestFinished, test } from "vitest";

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
import type { RawEntry } from "./support/raw-tar.ts";
import { snapshotTree } from "./support/tree-snapshot.ts";

const MEMORY = "/dev/shm";
const ENTRIES: readonly RawEntry[] = [
  { name: "bin", type: "5" },
  { name: "bin/tool", mode: 0o755, body: "tool".repeat(500) },
  { name: "etc/conf", uid: 7, gid: 8, body: "conf", pax: [["SCHILY.xattr.user.note", "kept"]] },
  { name: "etc/link", type: "2", link: "conf" },
  { name: "etc/twin", type: "1", link: "etc/conf" },
  { name: "pipe", type: "6" },
];

/** One thing done to a store, and what a check has to say. */
interface Case {
  readonly name: string;
  readonly harm: (world: StoreWorld, image: TestImage) => void;
  readonly finds: object;
  /** Whether a check finds it that reads only what was changed. @defaultValue true */
  readonly quick?: boolean;
  /** Bytes to be fetched for the repair. @defaultValue none */
  readonly fetches?: (image: TestImage) => number;
}

const blobOf = (image: TestImage): Digest => image.layers[0]?.blob.digest ?? image.id;
const blobFile = (world: StoreWorld, image: TestImage): string =>
  world.store.blobs.path(blobOf(image));
const diffOf = (world: StoreWorld, image: TestImage): string =>
  world.store.layers.diffPath(image.layerIDs[0] as never);
const blobSize = (image: TestImage): number => image.layers[0]?.blob.size ?? 0;

const BLOBS: readonly Case[] = [
  {
    name: "K01 D17 one bit of a blob is flipped",
    harm: (world, image) => flipBit(blobFile(world, image), 77),
    finds: { kind: "blob", fault: "wrong content" },
    quick: false,
    fetches: blobSize,
  },
  {
    name: "K01 a blob is cut off",
    harm: (world, image) => truncateSync(blobFile(world, image), 10),
    finds: { kind: "blob", fault: "wrong size" },
    fetches: blobSize,
  },
  {
    name: "K01 a blob is empty",
    harm: (world, image) => truncateSync(blobFile(world, image), 0),
    finds: { kind: "blob", fault: "wrong size" },
    fetches: blobSize,
  },
  {
    name: "K01 something is appended to a blob",
    harm: (world, image) => appendFileSync(blobFile(world, image), "more"),
    finds: { kind: "blob", fault: "wrong size" },
    fetches: blobSize,
  },
  {
    name: "K01 a blob is missing",
    harm: (world, image) => rmSync(blobFile(world, image)),
    finds: { kind: "blob", fault: "missing" },
    fetches: blobSize,
  },
  {
    name: "K01 a blob is a directory",
    harm(world, image) {
      rmSync(blobFile(world, image));
      mkdirSync(blobFile(world, image));
    },
    finds: { kind: "blob", fault: "not a file" },
    fetches: blobSize,
  },
  {
    name: "K01 a blob is a link to what it was",
    harm(world, image) {
      renameSync(blobFile(world, image), join(world.path, "moved"));
      symlinkSync(join(world.path, "moved"), blobFile(world, image));
    },
    finds: { kind: "blob", fault: "not a file" },
    fetches: blobSize,
  },
  {
    name: "K01 a blob is a FIFO, which nobody waits for",
    harm(world, image) {
      rmSync(blobFile(world, image));
      execFileSync("mkfifo", [blobFile(world, image)]);
    },
    finds: { kind: "blob", fault: "not a file" },
    fetches: blobSize,
  },
  {
    name: "K01 nobody may read a blob",
    harm: (world, image) => chmodSync(blobFile(world, image), 0),
    finds: { kind: "blob", fault: "owner or mode" },
  },
  {
    name: "K19 a blob was written to by another name of it",
    harm(world, image) {
      linkSync(blobFile(world, image), join(world.path, "outside"));
      flipBit(join(world.path, "outside"), 3);
    },
    finds: { kind: "blob", fault: "wrong content" },
    fetches: blobSize,
  },
];

const inLayer = (path: string, aspect: string): object => ({
  kind: "layer",
  fault: "wrong tree",
  path,
  aspect,
});

const LAYERS: readonly Case[] = [
  {
    name: "K03 D17 one bit of a file is flipped, and its times are put back",
    harm(world, image) {
      const file = join(diffOf(world, image), "bin/tool");
      const { atime, mtime } = statSync(file);
      flipBit(file, 5000);
      utimesSync(file, atime, mtime);
    },
    finds: inLayer("bin/tool", "content"),
  },
  {
    name: "K03 a file is cut off",
    harm: (world, image) => truncateSync(join(diffOf(world, image), "bin/tool"), 3),
    finds: inLayer("bin/tool", "size"),
  },
  {
    name: "K03 a file is removed",
    harm: (world, image) => rmSync(join(diffOf(world, image), "bin/tool")),
    finds: { ...inLayer("bin/tool", "missing") },
  },
  {
    name: "K03 a file is added",
    harm: (world, image) => writeFileSync(join(diffOf(world, image), "bin/added"), "x"),
    finds: inLayer("bin/added", "extra"),
  },
  {
    name: "K03 a file has another mode",
    harm: (world, image) => chmodSync(join(diffOf(world, image), "bin/tool"), 0o4755),
    finds: inLayer("bin/tool", "mode"),
  },
  {
    name: "K03 a directory that the archive only implies has another mode",
    harm: (world, image) => chmodSync(join(diffOf(world, image), "etc"), 0o777),
    finds: inLayer("etc", "mode"),
  },
  {
    name: "K03 a link leads elsewhere",
    harm(world, image) {
      rmSync(join(diffOf(world, image), "etc/link"));
      symlinkSync("/etc/shadow", join(diffOf(world, image), "etc/link"));
    },
    finds: inLayer("etc/link", "link target"),
  },
  {
    name: "K03 two names are no longer of one file",
    harm(world, image) {
      const [one, two] = ["etc/conf", "etc/twin"].map((name) => join(diffOf(world, image), name));
      execFileSync("sh", ["-c", 'cp -a "$1" "$1.new" && mv "$1.new" "$1"', "sh", two ?? ""]);
      expect(one).not.toBe(two);
    },
    finds: inLayer("etc/twin", "hard links"),
  },
  {
    name: "K03 a directory is in the place of a FIFO",
    harm(world, image) {
      rmSync(join(diffOf(world, image), "pipe"));
      mkdirSync(join(diffOf(world, image), "pipe"));
    },
    finds: inLayer("pipe", "type"),
  },
  {
    name: "K03 the files of a layer are gone, and their directory is not",
    harm(world, image) {
      rmSync(diffOf(world, image), { recursive: true });
      mkdirSync(diffOf(world, image));
    },
    finds: { kind: "layer", fault: "wrong tree" },
  },
  {
    name: "K04 the directory of a layer's files is gone",
    harm: (world, image) => rmSync(diffOf(world, image), { recursive: true }),
    finds: { kind: "layer", fault: "missing" },
  },
  {
    name: "K04 a layer is gone altogether",
    harm: (world, image) => rmSync(join(diffOf(world, image), ".."), { recursive: true }),
    finds: { kind: "layer", fault: "missing" },
  },
  ...["", "{}", '{"version":9}', "\xff\xfe", `"${"x".repeat(9_000_000)}"`].map((text): Case => ({
    name: `K05 the record of a layer is ${JSON.stringify(text.slice(0, 20))}`,
    harm: (world, image) =>
      writeFileSync(join(diffOf(world, image), "../layer.json"), text, "latin1"),
    finds: { kind: "layer", fault: "unreadable record" },
  })),
];

const ROOTED: readonly Case[] = [
  {
    name: "K01 a blob belongs to somebody else",
    harm: (world, image) => chownSync(blobFile(world, image), 12, 34),
    finds: { kind: "blob", fault: "owner or mode" },
  },
  {
    name: "K03 a file belongs to somebody else",
    harm: (world, image) => chownSync(join(diffOf(world, image), "etc/conf"), 5, 6),
    finds: inLayer("etc/conf", "owner"),
  },
  {
    name: "K03 a file has lost an attribute",
    harm: (world, image) =>
      void execFileSync("setfattr", ["-x", "user.note", join(diffOf(world, image), "etc/conf")]),
    finds: inLayer("etc/conf", "xattrs"),
  },
  {
    name: "K03 a file has one attribute more",
    harm: (world, image) =>
      void execFileSync("setfattr", [
        "-n",
        "user.x",
        "-v",
        "y",
        join(diffOf(world, image), "bin/tool"),
      ]),
    finds: inLayer("bin/tool", "xattrs"),
  },
];

describe.each([...BLOBS, ...LAYERS, ...(IS_ROOT ? ROOTED : [])])("$name", (it) => {
  test("a check finds exactly that, and a repair makes it what it was, with no byte too many", async () => {
    await using world = await openWorld();
    const [image, other] = [makeImage(ENTRIES, [{ name: "top", body: "t" }]), neighbour()];
    await storeImage(world.store, other, "other:1");
    await storeImage(world.store, image, "app:1");
    const layers = join(world.root, "layers");
    const whole = snapshotTree(layers);
    const blobs = contentsOf(join(world.root, "blobs"));
    it.harm(world, image);
    const id = (it.finds as { kind: string }).kind === "blob" ? blobOf(image) : image.layerIDs[0];
    const expected = [{ ...it.finds, id, outcome: "found" }];
    const found = await world.store.check({ deep: true });
    expect(found.damages).toMatchObject(expected);
    expect(found.damages[0]?.usedBy).toContain(`image ${image.id}`);
    const quick = await world.store.check();
    expect(quick.damages).toMatchObject(it.quick === false ? [] : expected);
    const source = fetching(image);
    const repaired = await world.store.check({ deep: true, repair: source.sources });
    expect(repaired.damages).toMatchObject([{ ...it.finds, id, outcome: "repaired" }]);
    expect(source.bytes()).toBe(it.fetches?.(image) ?? 0);
    expect(withoutRecords(snapshotTree(layers))).toEqual(withoutRecords(whole));
    expect(contentsOf(join(world.root, "blobs"))).toEqual(blobs);
    const after = await world.store.check({ deep: true });
    expect(after).toMatchObject({ damages: [], unverified: [] });
    expect(readdirSync(join(world.root, "trash"))).toEqual([]);
  });
});

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

  test("K05: the record of an image is written anew from what is here, and it works as before", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    await storeImage(world.store, neighbour(), "other:1");
    const before = await world.store.images.get(image.id);
    writeFileSync(imageFile(world.root, image.id), "{");
    const repositoryOf = (): string => "localhost/test";
    const { damages } = await world.store.check({ repair: { repositoryOf } });
    expect(damages).toMatchObject([
      { kind: "image", id: image.id, fault: "unreadable record", outcome: "repaired" },
    ]);
    const after = await world.store.images.get(image.id);
    expect(after).toEqual({ ...before, created: after.created });
    expect(await world.store.images.resolveName("app:1")).toBe(image.id);
    expect(await world.store.check({ deep: true })).toMatchObject({ damages: [] });
  });

  test("K05: a record that says nothing and of which nothing is known is set aside", async () => {
    await using world = await openWorld();
    const [digest, id] = [`sha256:${"2".repeat(64)}` as Digest, "3".repeat(64)];
    await storeImage(world.store, neighbour(), "other:1");
    mkdirSync(join(imageFile(world.root, digest), ".."));
    writeFileSync(imageFile(world.root, digest), "{}");
    mkdirSync(join(world.root, "containers", id, "upper"), { recursive: true });
    writeFileSync(join(world.root, "containers", id, "container.json"), "\0");
    writeFileSync(join(world.root, "containers", id, "upper/work-of-months"), "precious");
    writeFileSync(join(world.root, "names", `${"4".repeat(64)}.json`), "[]");
    const { damages } = await world.store.check({ repair: {} });
    expect(damages.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ["image", "set aside"],
      ["name", "set aside"],
      ["container", "set aside"],
    ]);
    const listed = await world.store.containers.list();
    expect([(await world.store.images.list()).damaged, listed.damaged]).toEqual([[], []]);
    await world.store.collectGarbage();
    await using _again = await openStore(world);
    const kept = readdirSync(join(world.root, "trash"), { recursive: true, encoding: "utf8" });
    expect(
      kept.filter((path) => path.includes(`container-${id}`) && path.endsWith("months")),
    ).toHaveLength(1);
  });

  test("K14: a name that can not be read is what index.json says; one without an image goes", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const [file = ""] = readdirSync(join(world.root, "names"));
    writeFileSync(join(world.root, "names", file), "");
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([{ kind: "name", id: file, outcome: "repaired" }]);
    expect(await world.store.images.resolveName("app:1")).toBe(image.id);
    rmSync(join(imageFile(world.root, image.id), ".."), { recursive: true });
    const dangling = await world.store.check({ repair: {} });
    expect(dangling.damages).toMatchObject([
      { kind: "name", fault: "no image", outcome: "set aside" },
      { kind: "index", fault: "stale", outcome: "repaired" },
    ]);
  });

  test("K14: a name that can not be read is in index.json until it is repaired, whatever is stored meanwhile", async () => {
    await using world = await openWorld();
    const image = makeImage(ENTRIES);
    await storeImage(world.store, image, "app:1");
    const [file = ""] = readdirSync(join(world.root, "names"));
    writeFileSync(join(world.root, "names", file), "{");
    await storeImage(world.store, neighbour(), "other:1");
    await (await openStore(world))[Symbol.asyncDispose]();
    const { damages } = await world.store.check({ repair: {} });
    expect(damages).toMatchObject([{ kind: "name", id: file, outcome: "repaired" }]);
    expect(await world.store.images.resolveName("app:1")).toBe(image.id);
    await world.store.images.removeName("app:1");
    expect((await world.store.check()).damages).toEqual([]);
  });

  test("K05: a record that is written anew has the signatures that were kept with the image", async () => {
    await using world = await openWorld();
    const [image, bytes] = [makeImage(ENTRIES), Buffer.from("signed")];
    await storeImage(world.store, image, "app:1");
    const signatures = { mediaType: "application/x", digest: digestOf(bytes), size: bytes.length };
    await world.store.blobs.write(signatures, once(bytes));
    const record = recordOf(image);
    const manifests = record.manifests.map((it) => ({ ...it, signatures, repository: "r/signed" }));
    await world.store.images.put({ ...record, manifests });
    writeFileSync(imageFile(world.root, image.id), "");
    await storeImage(world.store, neighbour(), "other:1");
    await world.store.check({ repair: {} });
    const rebuilt = await world.store.images.get(image.id);
    expect(rebuilt.manifests).toMatchObject([{ manifest: image.manifest, signatures }]);
    expect((await world.store.check({ deep: true })).damages).toEqual([]);
  });

  test("K14: an index.json that says something false is written anew", async () => {
    await using world = await openWorld();
    await storeImage(world.store, neighbour(), "other:1");
    const file = join(world.root, "index.json");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace("other:1", "other:9"));
    expect((await world.store.check()).damages).toMatchObject([
      { kind: "index", outcome: "found" },
    ]);
    await world.store.check({ repair: {} });
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("K02: a blob under another's name is missing under its own, and wrong or garbage there", async () => {
    await using world = await openWorld();
    const [image, other] = [makeImage(ENTRIES), neighbour()];
    await storeImage(world.store, image, "app:1");
    await storeImage(world.store, other, "other:1");
    const [file, otherFile] = [blobFile(world, image), blobFile(world, other)];
    const unheardOf = "a".repeat(64);
    renameSync(file, join(file, "..", unheardOf));
    mkdirSync(join(file, "../ab"));
    writeFileSync(join(file, "../ab", "shard"), "x");
    const missing = { kind: "blob", id: blobOf(image), fault: "missing", outcome: "found" };
    expect((await world.store.check()).damages).toMatchObject([missing]);
    const { damages } = await world.store.check({ deep: true });
    const wrong = { kind: "blob", id: `sha256:${unheardOf}`, fault: "wrong content" };
    expect(damages).toEqual(
      expect.arrayContaining([missing, wrong].map((it) => expect.objectContaining(it))),
    );
    const source = fetching(image);
    await world.store.check({ repair: source.sources });
    expect(source.bytes()).toBe(blobSize(image));
    copyFileSync(file, `${otherFile}.new`);
    renameSync(`${otherFile}.new`, otherFile);
    const { damages: swapped } = await world.store.check({
      deep: true,
      repair: fetching(other).sources,
    });
    expect(swapped).toEqual(
      expect.arrayContaining([expect.objectContaining({ id: blobOf(other), outcome: "repaired" })]),
    );
    await world.store.collectGarbage();
    expect(existsSync(join(file, "../ab"))).toBe(false);
    expect((await world.store.check({ deep: true })).damages).toEqual([]);
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

function neighbour(): TestImage {
  return makeImage([{ name: "near", body: "n".repeat(2000) }]);
}

function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path);
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  const mode = statSync(path).mode;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  chmodSync(path, mode);
}

/** A source that counts what it gives. */
function fetching(image: TestImage): {
  readonly sources: RepairSources;
  readonly bytes: () => number;
} {
  let bytes = 0;
  const sources: RepairSources = {
    async *openBlob({ descriptor, images, repositories }, { offset = 0 }) {
      expect(images).toEqual([image.id]);
      expect(repositories).toEqual(["localhost/test"]);
      const content = image.bytes.get(descriptor.digest)?.subarray(offset) ?? Buffer.alloc(0);
      bytes += content.byteLength;
      yield content;
    },
  };
  return { sources, bytes: () => bytes };
}

/** Name, type, mode, owner and bytes; the time is that of the last arrival. */
function contentsOf(blobs: string): readonly string[] {
  return Object.entries(snapshotTree(join(blobs, "sha256"))).flatMap(([path, text]) =>
    path === "" ? [] : [`${path} ${text.replace(/mtime \d+/, "")}`],
  );
}

type Snapshot = Readonly<Record<string, string>>;

/** A record that is written anew has a new time; the directories of layers have none of their own. */
function withoutRecords(snapshot: Snapshot): Snapshot {
  const kept = Object.entries(snapshot).filter(
    ([path]) => !/^(?:[0-9a-f]{64})?$|layer\.json$/.test(path),
  );
  return Object.fromEntries(kept);
}

function withoutLocks(snapshot: Snapshot): Snapshot {
  const kept = Object.entries(snapshot).filter(([path]) => !/^(?:locks|leases|staging)/.test(path));
  return Object.fromEntries(kept);
}
