import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

describe("paths that point out of the layer", () => {
  test.for(["../x", "a/../../x", "..", "./..//x", "/../x", "../../../../etc/x"])(
    "T01 V40 %s is refused",
    async (name) => {
      await using bench = await openLayerBench();
      for (const type of ["0", "1", "2", "5", "6"]) {
        const refusal = await bench.refusalOf(rawTar({ name: "f" }, { name, type, link: "f" }));
        expect(refusal).toMatchObject({ code: "ERR_STORE_LAYER_ESCAPE", kind: "LayerEscape" });
      }
    },
  );

  test.for([
    ["/abs/x", "abs/x"],
    ["//x", "x"],
    ["a//b", "a/b"],
    ["x/./y", "x/y"],
    ["c/../e", "e"],
    [String.raw`a\..\b`, String.raw`a\..\b`],
    [String.raw`C:\x`, String.raw`C:\x`],
    [String.raw`\\srv\x`, String.raw`\\srv\x`],
  ] as const)("T02 %s lands at %s", async ([name, path]) => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(rawTar({ name }));
    expect(Object.keys(tree)).toContain(path);
  });

  test.for([
    ["file", "0"],
    ["symlink", "2"],
    ["hard link", "1"],
    ["fifo", "6"],
  ] as const)("T03 V43 a %s in place of the root is refused", async ([, type]) => {
    for (const name of ["", ".", "./", "/", "a/.."]) {
      await using bench = await openLayerBench();
      const entry: RawEntry = { name, type, link: bench.canary };
      await expect(bench.unpack(rawTar(entry))).rejects.toMatchObject({ kind: "LayerInvalid" });
    }
  });

  test.for(["", ".", "./", "/", "a/.."])("T03 %j as a directory is the root", async (name) => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(rawTar({ name, type: "5", mode: 0o711, uid: 7 }));
    expect(Object.keys(tree)).toEqual([""]);
    expect(tree[""]).toMatch(/^40711 /);
  });
});
