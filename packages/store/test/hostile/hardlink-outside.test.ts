import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

describe("hard links to what is not a file of this layer", () => {
  const before: RawEntry[] = [
    { name: "dir", type: "5" },
    { name: "out", type: "2", link: "../canary" },
    { name: "abs", type: "2", link: "/etc" },
    { name: "pipe", type: "6" },
    { name: "null", type: "3", major: 1, minor: 3 },
    { name: ".wh.hidden" },
  ];

  test.for([
    "/etc/shadow",
    "canary/file",
    "out/f",
    "abs/shadow",
    "missing",
    "later",
    "dir",
    "pipe",
    "null",
    "hidden",
    "self",
    "",
    ".wh..wh.plnk/1.2",
  ])("T09 T14 V47 %s is refused", async (link) => {
    await using bench = await openLayerBench();
    const entries = [...before, { name: "self", type: "1", link }, { name: "later" }];
    expect(await bench.refusalOf(rawTar(...entries))).toMatchObject({ kind: "LayerInvalid" });
  });

  test("T09 ../ leaves the layer", async () => {
    await using bench = await openLayerBench();
    const unpacked = bench.unpack(rawTar({ name: "h", type: "1", link: "../canary/file" }));
    await expect(unpacked).rejects.toMatchObject({ kind: "LayerEscape" });
  });

  test("T09 a link to a symbolic link is another name of that link", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "l", type: "2", link: `${bench.canary}/file` },
        { name: "h", type: "1", link: "l", mode: 0o600, uid: 5 },
      ),
    );
    expect(tree["h"]).toContain(`links 2 as h`);
  });
});
