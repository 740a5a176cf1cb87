import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { IS_ROOT } from "./support/needs-root.ts";
import {
  makeImage,
  openWorld,
  storeImage,
  type StoreWorld,
  type TestImage,
} from "./support/store-world.ts";
import { snapshotTree } from "./support/tree-snapshot.ts";
import {
  blobFile,
  blobOf,
  blobSize,
  contentsOf,
  diffOf,
  ENTRIES,
  fetching,
  flipBit,
  neighbour,
  withoutRecords,
} from "./support/harmed-store.ts";

/** One thing done to a store, and what a check has to say. */
interface Case {
  readonly name: string;
  readonly harm: (world: StoreWorld, image: TestImage) => void;
  readonly finds: object;
  /** Bytes to be fetched for the repair. @defaultValue none */
  readonly fetches?: (image: TestImage) => number;
}

const BLOBS: readonly Case[] = [
  {
    name: "K01 D17 one bit of a blob is flipped",
    harm: (world, image) => flipBit(blobFile(world, image), 77),
    finds: { kind: "blob", fault: "wrong content" },
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
  test("a check finds exactly that, a quick one too, and its repair makes it what it was, with no byte too many", async () => {
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
    expect(quick.damages).toMatchObject(expected);
    const source = fetching(image);
    const repaired = await world.store.check({ repair: source.sources });
    expect(repaired.damages).toMatchObject([{ ...it.finds, id, outcome: "repaired" }]);
    expect(source.bytes()).toBe(it.fetches?.(image) ?? 0);
    expect(withoutRecords(snapshotTree(layers))).toEqual(withoutRecords(whole));
    expect(contentsOf(join(world.root, "blobs"))).toEqual(blobs);
    const after = await world.store.check({ deep: true });
    expect(after).toMatchObject({ damages: [], unverified: [] });
    expect(readdirSync(join(world.root, "trash"))).toEqual([]);
  });
});
