import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { rawTar } from "../support/raw-tar.ts";

describe("whiteouts of what is no name", () => {
  test.for([".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh../../x", ".wh.a/b"])(
    "T12 %s is refused",
    async (name) => {
      await using bench = await openLayerBench();
      const refusal = await bench.refusalOf(rawTar({ name: "a", type: "5" }, { name }));
      expect(refusal).toMatchObject({ kind: "LayerInvalid" });
    },
  );

  test("T12 an opaque mark in a missing directory makes it; in the root it is reported", async () => {
    await using bench = await openLayerBench();
    const layer = await bench.unpack(
      rawTar({ name: "a/b/.wh..wh..opq" }, { name: ".wh..wh..opq" }),
    );
    expect(layer.isRootOpaque).toBe(true);
    expect(layer.tree["a/b"]).toContain("overlay.opaque=79");
  });

  test("T12 V32 a whiteout of what is not there is kept, with whatever the entry holds", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(rawTar({ name: "a/.wh.x", body: "content" }));
    expect(Object.keys(tree)).toEqual(["", "a", "a/x"]);
    expect(tree["a/x"]).toMatch(/^20000 .* dev 0 /);
  });

  test("T13 entries below what a whiteout hides make it a directory that shows nothing of below", async () => {
    await using bench = await openLayerBench();
    const entries = [{ name: ".wh.foo" }, { name: "foo/.wh.bar" }, { name: "foo/new" }];
    const trees = [];
    for (const order of [entries, entries.toReversed()]) {
      const { tree } = await bench.unpack(rawTar(...order));
      expect(tree["foo"]).toContain("overlay.opaque=79");
      trees.push(Object.keys(tree));
    }
    expect(trees[0]).toEqual(["", "foo", "foo/bar", "foo/new"]);
    expect(trees[1]).toEqual(trees[0]);
  });

  test("T14 what AUFS kept for itself is not shown, nor what lies below", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(
      rawTar(
        { name: ".wh..wh.plnk", type: "5" },
        { name: ".wh..wh.plnk/1.2", body: "x" },
        { name: ".wh..wh.aufs" },
        { name: "a/.wh..wh.orph/x" },
        { name: "kept" },
      ),
    );
    expect(Object.keys(tree)).toEqual(["", "kept"]);
  });
});
