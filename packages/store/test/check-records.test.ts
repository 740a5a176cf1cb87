import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { type Digest, digestOf } from "@stowage/content";
import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import {
  imageFile,
  makeImage,
  once,
  openWorld,
  recordOf,
  storeImage,
} from "./support/store-world.ts";
import {
  blobFile,
  blobOf,
  blobSize,
  ENTRIES,
  fetching,
  neighbour,
} from "./support/harmed-store.ts";

describe("a check of records", () => {
  test.skipIf(!IS_ROOT)(
    `a container that can not be read is put aside when it is mounted no more, whose mount would be nobody's${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      const { containers, mounts } = world.store;
      const { id } = await containers.create({ names: ["c"], metadata: "" });
      await mounts.mountContainer(id);
      writeFileSync(join(world.root, "containers", id, "container.json"), "{");
      const left = await world.store.check({ repair: {} });
      expect(left.damages).toMatchObject([{ kind: "container", id, outcome: "left" }]);
      expect(await mounts.unmountContainer(id)).toBe(0);
      const { damages } = await world.store.check({ repair: {} });
      expect(damages).toMatchObject([{ kind: "container", id, outcome: "set aside" }]);
      expect(readdirSync(join(world.root, "containers"))).toEqual([]);
    },
  );

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
    rmSync(world.store.blobs.path(image.manifest.digest));
    const dangling = await world.store.check({ repair: {} });
    expect(dangling.damages).toMatchObject([
      { kind: "image", fault: "no record", outcome: "left" },
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
});
