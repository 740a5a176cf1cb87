import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

describe("paths that point out of the layer", () => {
  test.for(["../x", "a/../../x", "..", "./..//x", "/../x", "../../../../etc/x"])(
    "T01 V40 %s is refused",
    async (name) => {
      await using bench = openLayerBench();
      await expect(bench.unpack(rawTar({ name }))).rejects.toMatchObject({
        code: "ERR_STORE_LAYER_ESCAPE",
      });
      bench.assertUntouched();
    },
  );

  test.for([
    ["/abs/x", "abs/x"],
    ["//x", "x"],
    ["a//b", "a/b"],
    ["x/./y", "x/y"],
    ["c/../e", "e"],
    [String.raw`a\..\b`, String.raw`a\..\b`],
  ] as const)("T02 %s lands at %s", async ([name, path]) => {
    await using bench = openLayerBench();
    const { tree } = await bench.unpack(rawTar({ name }));
    expect(Object.keys(tree)).toContain(path);
    bench.assertUntouched();
  });

  test.for([
    ["file", "0"],
    ["symlink", "2"],
    ["hard link", "1"],
    ["fifo", "6"],
  ] as const)("T03 V43 a %s in place of the root is refused", async ([, type]) => {
    for (const name of ["", ".", "./", "/", "a/.."]) {
      await using bench = openLayerBench();
      const entry: RawEntry = { name, type, link: bench.canary };
      await expect(bench.unpack(rawTar(entry))).rejects.toMatchObject({ kind: "LayerInvalid" });
      bench.assertUntouched();
    }
  });

  test.for([
    ["a component of 256 bytes", "n".repeat(256)],
    ["a path of 4097 bytes", "d/".repeat(2048) + "x"],
    ["a path that is too long below the store", "d/".repeat(2040) + "x"],
  ] as const)("T36 %s is refused, and what was made can be removed", async ([, path]) => {
    await using bench = openLayerBench();
    const unpacked = bench.unpack(rawTar({ name: "x", pax: [["path", path]] }));
    await expect(unpacked).rejects.toMatchObject({ kind: "LayerInvalid" });
  });

  test("T36 no tree deeper than the kernel's paths can be made by way of links", async () => {
    await using bench = openLayerBench();
    const deep = "d/".repeat(1000);
    const unpacked = bench.unpack(
      rawTar(
        { name: "s", type: "2", link: "d" },
        { name: "x", type: "5", pax: [["path", deep]] },
        { name: "t", type: "2", pax: [["linkpath", deep]] },
        { name: "x", type: "5", pax: [["path", `t/e${deep}`]] },
        { name: "u", type: "2", pax: [["linkpath", `t/e${deep}`]] },
        { name: "x", type: "5", pax: [["path", `u/e${deep}`]] },
      ),
    );
    await expect(unpacked).rejects.toMatchObject({ kind: "LayerInvalid" });
  });
});
