import { lstatSync } from "node:fs";
import { join } from "node:path";

import { parseLayerID } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { sayOddities } from "../src/layer/layer-oddities.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import type { RawEntry } from "./support/raw-tar.ts";
import {
  makeImage,
  once,
  openWorld,
  type StoreWorld,
  type TestImage,
} from "./support/store-world.ts";

const USR_MERGED: readonly RawEntry[] = [
  { name: "usr/bin/", type: "5" },
  { name: "bin", type: "2", link: "usr/bin" },
  { name: "plain", body: "x" },
];

describe("committing a layer", () => {
  test.for([
    ["right below", []],
    ["further down", [[{ name: "other" }]]],
  ] as const)(
    "tells of a directory that hides a link %s and has no entry, which stays a directory",
    async ([, between]) => {
      await using world = await openWorld();
      const top = [{ name: "bin/deep/tool" }, { name: "plain/x" }, { name: "usr/bin/x" }];
      const image = makeImage(USR_MERGED, ...between, top);
      const warnings = await commitAll(world, image);
      expect(warnings).toEqual([expect.stringContaining('"bin"')]);
      expect(warnings[0]).toContain(image.layers.at(-1)?.diffID);
      const { layers } = world.store;
      const made = join(layers.diffPath(parseLayerID(image.layerIDs.at(-1) ?? "")), "bin");
      expect(lstatSync(made).isDirectory()).toBe(true);
    },
  );

  test.for<[string, readonly RawEntry[], readonly RawEntry[]]>([
    ["has an entry", [], [{ name: "bin/", type: "5" }, { name: "bin/tool" }]],
    ["is hidden by the layer itself", [], [{ name: ".wh.bin" }, { name: "bin/tool" }]],
    ["is hidden by one between", [{ name: ".wh.bin" }], [{ name: "bin/tool" }]],
    ["is a directory between", [{ name: "bin/", type: "5" }], [{ name: "bin/tool" }]],
  ])("tells nothing where the directory, or the link, %s", async ([, between, top]) => {
    await using world = await openWorld();
    expect(await commitAll(world, makeImage(USR_MERGED, between, top))).toEqual([]);
  });

  test("T22 tells of attributes of overlayfs that it has left out", async () => {
    await using world = await openWorld();
    const pax = [
      ["SCHILY.xattr.trusted.overlay.opaque", "y"],
      ["SCHILY.xattr.user.overlay.opaque", "y"],
      ["SCHILY.xattr.security.selinux", "label"],
    ] as const;
    const warnings = await commitAll(world, makeImage([{ name: "d", type: "5", pax }]));
    expect(warnings).toEqual([expect.stringContaining(": 2 attributes ")]);
  });
});

describe("what is said of a layer", () => {
  test("has a few names, whatever bytes they have, and how many there are more", () => {
    const names = ["a", "b\u001b[2J", "c", "d", "e", "f"].map((name) => Buffer.from(name));
    const [said = ""] = sayOddities({ overLinks: names, skippedDevices: 0, overlayXattrs: 0 });
    expect(said).toContain('"a", "b\\');
    expect(said).toContain("and 2 more");
    expect(said).not.toContain("\u001b");
  });

  test("T16 T20 counts the device files that were left out", () => {
    const oddities = { overLinks: [], skippedDevices: 3, overlayXattrs: 0 };
    expect(sayOddities(oddities)).toEqual([expect.stringContaining("3 device files")]);
  });
});

describe.skipIf(!IS_ROOT)(`what a layer hides itself${NEEDS_ROOT}`, () => {
  const whole = [
    { name: "a/", type: "5", mode: 0o700, uid: 5, gid: 5 },
    { name: "a/b/", type: "5", mode: 0o700, uid: 5, gid: 5 },
  ];

  test.for<[string, readonly RawEntry[], readonly (readonly number[])[]]>([
    [
      "nothing",
      [],
      [
        [0o700, 5, 5],
        [0o700, 5, 5],
      ],
    ],
    [
      "a directory",
      [{ name: ".wh.a" }],
      [
        [0o755, 0, 0],
        [0o755, 0, 0],
      ],
    ],
    [
      "what a directory has",
      [{ name: "a/.wh..wh..opq" }],
      [
        [0o700, 5, 5],
        [0o755, 0, 0],
      ],
    ],
    [
      "everything",
      [{ name: ".wh..wh..opq" }],
      [
        [0o755, 0, 0],
        [0o755, 0, 0],
      ],
    ],
  ])("lends nothing to its directories without an entry: %s", async ([, hiding, expected]) => {
    for (const entries of [
      [...hiding, { name: "a/b/x" }],
      [{ name: "a/b/x" }, ...hiding],
    ]) {
      await using world = await openWorld();
      const image = makeImage(whole, entries);
      await commitAll(world, image);
      const top = world.store.layers.diffPath(parseLayerID(image.layerIDs[1] ?? ""));
      const found = ["a", "a/b"].map((path) => {
        const { mode, uid, gid } = lstatSync(join(top, path));
        return [mode & 0o7777, uid, gid];
      });
      expect(found).toEqual(expected);
    }
  });
});

/** Stores the layers of an image, and answers what was told of them. */
async function commitAll({ store }: StoreWorld, image: TestImage): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const [digest, content] of image.bytes) {
    await store.blobs.write({ digest, size: content.byteLength }, once(content));
  }
  let parent = undefined;
  for (const { blob, diffID } of image.layers) {
    await using staged = await store.layers.stage(blob, diffID);
    const onWarning = (message: string): void => void warnings.push(message);
    parent = (await store.layers.commit(staged, parent, { onWarning })).id;
  }
  return warnings;
}
