import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Digest } from "@stowage/content";
import { asStoreError } from "@stowage/store";
import { hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  imageFile,
  makeImage,
  openWorld,
  storeImage,
  type StoreWorld,
  type TestImage,
} from "./support/store-world.ts";

const HAS_STRACE = hasPeer("strace");
const NEEDS_STRACE = HAS_STRACE ? "" : " (needs strace)";

/** What can not be read of two images, and what is said then. */
const PLACES: readonly (readonly [
  what: string,
  path: (world: StoreWorld, image: TestImage) => string,
  says: (image: TestImage) => object,
])[] = [
  [
    "a blob",
    ({ store }, image) => store.blobs.path(blobOf(image)),
    (image) => ({
      listed: "2 images, damaged: ",
      names: "listed",
      blobs: { [blobOf(image)]: "ERR_STORE_IO" },
      checked: "",
    }),
  ],
  [
    "the record of an image",
    ({ root }, image) => imageFile(root, image.id),
    () => ({
      listed: "1 images, damaged: ERR_STORE_IO",
      names: "listed",
      checked: "image unreadable record",
    }),
  ],
  [
    "the directory of the image records",
    ({ root }) => join(root, "images"),
    () => ({ listed: "ERR_STORE_IO", names: "listed", checked: "ERR_STORE_IO" }),
  ],
  [
    "the directory of the blobs",
    ({ root }) => join(root, "blobs/sha256"),
    () => ({ listed: "2 images, damaged: ", names: "ERR_STORE_IO", checked: "ERR_STORE_IO" }),
  ],
];

describe.skipIf(!HAS_STRACE)(`a disk that can not read${NEEDS_STRACE}`, () => {
  test.for(PLACES)(
    "D05: %s is StoreIo for that, and all else works",
    { timeout: 60_000 },
    async ([, pathOf, says]) => {
      await using world = await openWorld();
      const image = makeImage([{ name: "file", body: "x" }]);
      await storeImage(world.store, image, "app:1");
      await storeImage(world.store, makeImage([{ name: "other", body: "y" }]), "other:1");
      // Opening must not find it stale, and read the records.
      const soon = new Date(Date.now() + 5000);
      utimesSync(join(world.root, "index.json"), soon, soon);
      const calls = "read,pread64,readv,preadv,getdents64";
      const output = traced(world, "read-store.ts", [
        "-P",
        pathOf(world, image),
        "-e",
        `trace=${calls}`,
        "-e",
        `inject=${calls}:error=EIO`,
      ]);
      const said = JSON.parse(output) as { readonly blobs: Readonly<Record<string, string>> };
      const expected = { blobs: {}, ...says(image) };
      expect(said).toMatchObject(expected);
      const others = Object.entries(said.blobs).filter(([digest]) => !(digest in expected.blobs));
      for (const [digest, outcome] of others) expect(outcome, digest).toBe("read");
      expect((await world.store.check({ deep: true })).damages).toEqual([]);
    },
  );

  test(
    "K15: opening looks at no blob, and the first is told before the rest is listed",
    { timeout: 60_000 },
    async () => {
      await using world = await openWorld();
      await storeImage(world.store, makeImage([{ name: "file", body: "x" }]), "app:1");
      const directory = join(world.root, "blobs/sha256");
      const junk = 4000;
      for (let left = junk; left > 0; left -= 1) {
        writeFileSync(join(directory, randomBytes(32).toString("hex")), "");
      }
      const log = join(world.path, "trace");
      traced(world, "first-blob.ts", ["-o", log, "-P", directory, "-e", "trace=getdents64"]);
      const listings = readFileSync(log, "utf8").match(/getdents64\(/g) ?? [];
      // Each call has some 350 names.
      expect(listings.length).toBeLessThanOrEqual(3);
      const report = await world.store.collectGarbage();
      expect(report.items.filter(({ action }) => action === "remove")).toHaveLength(junk);
      expect((await world.store.check({ deep: true })).damages).toEqual([]);
    },
  );
});

test.for([
  ["D01", "ENOSPC", "ERR_STORE_NO_SPACE"],
  ["D04", "EDQUOT", "ERR_STORE_NO_SPACE"],
  ["D05", "EIO", "ERR_STORE_IO"],
  ["D08", "EROFS", "ERR_STORE_READ_ONLY"],
  ["D09", "ENFILE", "ERR_STORE_TOO_MANY_FILES"],
  ["D12", "EACCES", "ERR_STORE_READ_ONLY"],
  ["D14", "ENAMETOOLONG", "ERR_STORE_IO"],
] as const)("%s: %s has the name %s", ([, code, name]) => {
  const failure = Object.assign(new Error("it failed"), { code });
  expect(asStoreError(failure, "a thing")).toMatchObject({ code: name, cause: failure });
});

function blobOf({ layers }: TestImage): Digest {
  return layers[0]?.blob.digest ?? expect.fail("the image has no layer");
}

/** Runs a script on a store under strace, and answers what it prints. */
function traced(world: StoreWorld, script: string, options: readonly string[]): string {
  const words = [
    process.execPath,
    "--conditions=@stowage/source",
    join(import.meta.dirname, "support", script),
    world.root,
    world.runRoot,
  ];
  return execFileSync("strace", ["-f", "-qq", "-o", "/dev/null", ...options, "--", ...words], {
    encoding: "utf8",
  });
}
