import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { spawn } from "node:child_process";
import { once as eventOf } from "node:events";
import { dirname, join } from "node:path";

import { digestOf, encodedOf } from "@stowage/content";
import { openStore } from "@stowage/store";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  makeImage,
  openWorld,
  storeImage,
  type StoreWorld,
  type TestImage,
} from "./support/store-world.ts";

const ONE = makeImage([{ name: "base", body: "b" }], [{ name: "top", body: "t" }]);
const OTHER = makeImage([{ name: "base", body: "b" }], [{ name: "else", body: "e" }]);

describe("exportPodman", () => {
  test("has all images with their names, and the layers of the store themselves", async () => {
    await using world = await openExported(ONE, OTHER);
    const { store, directory } = world;
    await store.images.setName("second/name:2", ONE.id);
    const exported = await store.exportPodman(directory);
    expect(exported.images.toSorted()).toEqual([ONE.id, OTHER.id].toSorted());
    expect(exported.layers).toBe(3);
    expect(readlinkSync(join(directory, "overlay"))).toBe(join(world.root, "layers"));
    const images = imagesOf(directory);
    expect(images.find(({ id }) => id === encodedOf(ONE.id))).toMatchObject({
      names: ["second/name:2", ONE.id],
      layer: ONE.layerIDs[1],
      digest: ONE.manifest.digest,
    });
    const top = join(directory, "overlay", ONE.layerIDs[1] ?? "");
    const baseLink = readFileSync(
      join(directory, "overlay", ONE.layerIDs[0] ?? "", "link"),
      "utf8",
    );
    expect(baseLink).toMatch(/^[A-Z2-7]{26}$/);
    expect(readFileSync(join(top, "lower"), "utf8")).toBe(`l/${baseLink}`);
    expect(readFileSync(join(top, "lower-layers"), "utf8")).toBe(ONE.layerIDs[0]);
    expect(readFileSync(join(directory, "overlay/l", baseLink, "base"), "utf8")).toBe("b");
  });

  test("nothing shows through a layer whose root is opaque, whose record says so", async () => {
    const image = makeImage([{ name: "low" }], [{ name: ".wh..wh..opq" }], [{ name: "top" }]);
    await using world = await openExported(image);
    await world.store.exportPodman(world.directory);
    const lowerOf = (id = ""): string => join(world.root, "layers", id, "lower-layers");
    expect(existsSync(lowerOf(image.layerIDs[1]))).toBe(false);
    expect(readFileSync(lowerOf(image.layerIDs[2]), "utf8")).toBe(image.layerIDs[1]);
  });

  test("again, has what the store has now; and only the images that are asked for", async () => {
    await using world = await openExported(ONE);
    const { store, directory } = world;
    await store.exportPodman(directory);
    const stamp = readFileSync(join(directory, "overlay-images/images.lock"));
    expect(stamp).toHaveLength(64);
    await storeImage(store, OTHER, "other:1");
    await store.exportPodman(directory);
    expect(imagesOf(directory)).toHaveLength(2);
    expect(readFileSync(join(directory, "overlay-images/images.lock")).equals(stamp)).toBe(false);
    await store.images.remove(ONE.id);
    await store.exportPodman(directory, { images: [OTHER.id] });
    expect(imagesOf(directory).map(({ id }) => id)).toEqual([encodedOf(OTHER.id)]);
    expect(readdirSync(join(directory, "overlay-layers")).toSorted()).toEqual(
      [
        ...OTHER.layerIDs.map((id) => `${id}.tar-split.gz`),
        "layers.json",
        "layers.lock",
      ].toSorted(),
    );
    expect(readdirSync(join(directory, "overlay-images"))).not.toContain(encodedOf(ONE.id));
    expect(readdirSync(join(world.root, "layers/l"))).toHaveLength(2);
    expect(await store.info()).toMatchObject({ layers: 2 });
  });

  test("pins what it has until it is removed, and then leaves nothing", async () => {
    await using world = await openExported(ONE);
    const { store, directory } = world;
    await store.exportPodman(directory);
    await store.images.remove(ONE.id);
    await store.collectGarbage();
    expect(existsSync(join(directory, "overlay", ONE.layerIDs[1] ?? "", "diff/top"))).toBe(true);
    await store.removePodmanExport(directory);
    expect(existsSync(directory)).toBe(false);
    expect(readdirSync(join(world.root, "layers"))).toEqual([]);
    expect(await store.listLeases()).toEqual([]);
    await expect(store.removePodmanExport(directory)).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_EXPORT",
    });
  });

  test("that was cut off before it had said whose it is can be made again", async () => {
    await using world = await openExported(ONE);
    const { store, directory } = world;
    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(directory, "stowage.json"), "");
    await store.exportPodman(directory);
    expect(imagesOf(directory)).toHaveLength(1);
  });

  test.each<[string, (directory: string) => void]>([
    ["the directory above is gone as well", (it) => rmSync(dirname(it), { recursive: true })],
    [
      "somebody has put something else in its place",
      (it) => {
        rmSync(it, { recursive: true });
        mkdirSync(it, { mode: 0o700 });
        writeFileSync(join(it, "letter"), "");
      },
    ],
    [
      "another store has exported to it since",
      (it) => writeFileSync(join(it, "stowage.json"), '{"version":1,"root":"/elsewhere"}'),
    ],
    [
      "a link leads elsewhere from there",
      (it) => {
        rmSync(it, { recursive: true });
        symlinkSync("/", it);
      },
    ],
  ])("keeps nothing any more when it is removed by its name and %s", async (_what, replace) => {
    await using world = await openExported(ONE);
    const { store } = world;
    const directory = join(world.directory, "exported");
    mkdirSync(world.directory);
    await store.exportPodman(directory);
    replace(directory);
    const before = lstatSync(directory, { throwIfNoEntry: false })?.ino;
    expect(await store.removePodmanExport(directory)).toEqual({ directory });
    expect(await store.listLeases()).toEqual([]);
    expect(lstatSync(directory, { throwIfNoEntry: false })?.ino).toBe(before);
    expect(existsSync(join(world.root, "layers/l"))).toBe(false);
    await expect(store.removePodmanExport(directory)).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_EXPORT",
    });
  });

  test("whose directory was removed by hand is removed by its name still", async () => {
    await using world = await openExported(ONE);
    const { store, directory } = world;
    await store.exportPodman(directory);
    rmSync(directory, { recursive: true });
    expect(await store.listLeases()).toHaveLength(1);
    await store.removePodmanExport(directory);
    expect(await store.listLeases()).toEqual([]);
  });

  test("two directories have each their own, and one goes without the other", async () => {
    await using world = await openExported(ONE, OTHER);
    const { store, directory } = world;
    const second = `${directory}-2`;
    await store.exportPodman(directory, { images: [ONE.id] });
    await store.exportPodman(second, { images: [OTHER.id] });
    expect(readdirSync(join(world.root, "layers/l"))).toHaveLength(3);
    await store.removePodmanExport(directory);
    expect(readdirSync(join(world.root, "layers/l"))).toHaveLength(2);
    expect(imagesOf(second)).toHaveLength(1);
    expect(existsSync(join(second, "overlay", OTHER.layerIDs[1] ?? "", "link"))).toBe(true);
  });

  test("is nothing that fsck or df find odd, and outlives the repair of a layer", async () => {
    await using world = await openExported(ONE);
    const { store, directory } = world;
    const { layers } = await store.usage();
    await store.exportPodman(directory);
    expect((await store.check({ deep: true })).damages).toEqual([]);
    expect((await store.usage()).layers.count).toBe(layers.count);
    const top = join(world.root, "layers", ONE.layerIDs[1] ?? "");
    const lower = readFileSync(join(top, "lower"), "utf8");
    writeFileSync(join(top, "diff/top"), "changed");
    expect((await store.check({ repair: {} })).damages).toMatchObject([{ outcome: "repaired" }]);
    expect(readFileSync(join(top, "diff/top"), "utf8")).toBe("t");
    expect(readFileSync(join(top, "lower"), "utf8")).toBe(lower);
  });

  test("copies no file of a layer", async () => {
    const image = makeImage([{ name: "large", body: "0123456789abcdef".repeat(65_536) }]);
    await using world = await openExported(image);
    await world.store.exportPodman(world.directory);
    expect(sizeOf(world.directory)).toBeLessThan(64 * 1024);
  });
});

describe("a directory that can not be an export", () => {
  test.each<{
    readonly what: string;
    readonly make: (path: string, world: StoreWorld) => string | void;
  }>([
    {
      what: "holds something else",
      make: (path) => {
        mkdirSync(path);
        writeFileSync(join(path, "x"), "");
      },
    },
    { what: "is a symbolic link", make: (path, world) => symlinkSync(world.root, path) },
    { what: "is a file", make: (path) => writeFileSync(path, "") },
    {
      what: "others may write to",
      make: (path) => {
        mkdirSync(path);
        chmodSync(path, 0o777);
      },
    },
    { what: "lies in the store", make: (_, world) => join(world.root, "layers/podman") },
    { what: "has the store in it", make: (_, world) => world.path },
    { what: "is relative", make: () => "podman" },
    { what: "has a comma in its name", make: (path) => `${path},a` },
    { what: "has a parent that is missing", make: (path) => join(path, "a") },
    { what: "is the system's root", make: () => "/" },
  ])("that $what is refused, and left as it is", async ({ make }) => {
    await using world = await openExported(ONE);
    const path = make(world.directory, world) ?? world.directory;
    const before = existsSync(world.directory) && sizeOf(world.directory);
    for (const attempt of [
      () => world.store.exportPodman(path),
      () => world.store.removePodmanExport(path),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: "ERR_STORE_INVALID_EXPORT" });
    }
    expect(existsSync(world.directory) && sizeOf(world.directory)).toEqual(before);
    expect(await world.store.listLeases()).toEqual([]);
  });

  test("that is another store's is refused by this one, and that one's stays", async () => {
    await using world = await openExported(ONE);
    await using other = await openExported(OTHER);
    await other.store.exportPodman(other.directory);
    await expect(world.store.exportPodman(other.directory)).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_EXPORT",
    });
    await expect(world.store.removePodmanExport(other.directory)).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_EXPORT",
    });
    expect(imagesOf(other.directory)).toHaveLength(1);
    expect(readlinkSync(join(other.directory, "overlay"))).toBe(join(other.root, "layers"));
  });
});

describe("an image that can not be exported", () => {
  test("is named, and the export stays as it was", async () => {
    await using world = await openExported(ONE);
    const { store, directory } = world;
    await store.exportPodman(directory);
    await expect(
      store.exportPodman(directory, { images: [digestOf(Buffer.from("nothing"))] }),
    ).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_NOT_FOUND" });
    await storeImage(store, OTHER, "other:1");
    const blob = OTHER.layers[1]?.blob.digest ?? digestOf(new Uint8Array());
    rmSync(join(world.root, "blobs/sha256", encodedOf(blob)));
    await expect(store.exportPodman(directory)).rejects.toMatchObject({
      code: "ERR_STORE_BLOB_NOT_FOUND",
      message: expect.stringContaining(blob),
    });
    expect(imagesOf(directory)).toHaveLength(1);
    expect(await store.listLeases()).toHaveLength(1);
  });

  test.each(["config", "manifest"] as const)(
    "for its %s is damaged is named too, with what to do",
    async (part) => {
      await using world = await openExported(ONE);
      const { digest } = ONE[part];
      truncateSync(join(world.root, "blobs/sha256", encodedOf(digest)), 9);
      await expect(world.store.exportPodman(world.directory)).rejects.toMatchObject({
        code: "ERR_CONTENT_SIZE_MISMATCH",
        message: expect.stringMatching(`^image ${ONE.id}: its ${part} is damaged here: ${digest}`),
        hint: expect.stringContaining("fsck --repair"),
      });
      expect(await world.store.listLeases()).toEqual([]);
    },
  );

  test("for its blob holds another layer is named too", async () => {
    await using world = await openExported(ONE);
    const digest = ONE.layers[1]?.blob.digest ?? digestOf(new Uint8Array());
    const blob = join(world.root, "blobs/sha256", encodedOf(digest));
    rmSync(blob);
    linkSync(
      join(world.root, "blobs/sha256", encodedOf(ONE.layers[0]?.blob.digest ?? digest)),
      blob,
    );
    await expect(world.store.exportPodman(world.directory)).rejects.toMatchObject({
      code: "ERR_STORE_DIFF_ID_MISMATCH",
    });
    expect(await world.store.listLeases()).toEqual([]);
  });
});

test("several that export to one directory at once take turns, and leave one lease", async () => {
  await using world = await openExported(ONE, OTHER);
  const { directory } = world;
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      await using store = await openStore({ root: world.root, runRoot: world.runRoot });
      for (let round = 0; round < 3; round += 1) await store.exportPodman(directory);
    }),
  );
  expect(imagesOf(directory)).toHaveLength(2);
  expect(await world.store.listLeases()).toHaveLength(1);
});

test("podman's lock on the export is waited for", async () => {
  await using world = await openExported(ONE);
  const { store, directory } = world;
  await store.exportPodman(directory);
  const holder = spawn("python3", ["-c", HOLD, join(directory, "overlay-layers/layers.lock")]);
  await eventOf(holder.stdout, "data");
  const before = lstatSync(join(directory, "overlay-layers/layers.json")).ino;
  const exporting = store.exportPodman(directory, { signal: AbortSignal.timeout(300) });
  await expect(exporting).rejects.toMatchObject({ name: "TimeoutError" });
  expect(lstatSync(join(directory, "overlay-layers/layers.json")).ino).toBe(before);
  holder.kill();
  await eventOf(holder, "exit");
  await store.exportPodman(directory);
  expect(await store.listLeases()).toHaveLength(1);
});

const HOLD = `
import fcntl, sys, time
file = open(sys.argv[1], "rb")
fcntl.lockf(file, fcntl.LOCK_SH)
print("held", flush=True)
time.sleep(600)
`;

interface ExportWorld extends StoreWorld {
  readonly directory: string;
}

/** A store with images, each under its own ID, and a place for an export beside it. */
async function openExported(...images: readonly TestImage[]): Promise<ExportWorld> {
  const folder = await tempDir();
  const world = await openWorld();
  for (const image of images) await storeImage(world.store, image, image.id);
  return {
    ...world,
    directory: join(folder.path, "podman"),
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function imagesOf(directory: string): readonly Readonly<Record<string, unknown>>[] {
  return JSON.parse(readFileSync(join(directory, "overlay-images/images.json"), "utf8"));
}

/** Bytes of all files, links not followed. */
function sizeOf(path: string): number {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
