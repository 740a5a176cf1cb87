import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

describe("symbolic links that point out of the layer", () => {
  test("T04 files below them land inside", async () => {
    await using bench = openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "d", type: "2", link: bench.canary },
        { name: "d/x", body: "inside" },
        { name: "e", type: "2", link: "../../../../../../etc" },
        { name: "e/shadow", body: "inside" },
      ),
    );
    expect(Object.keys(tree)).toContain(`${bench.canary.slice(1)}/x`);
    expect(Object.keys(tree)).toContain("etc/shadow");
    bench.assertUntouched();
  });

  test("T07 V44 what has a link's name replaces the link", async () => {
    await using bench = openLayerBench();
    const link = `${bench.canary}/f`;
    const names = ["a", "b", "c"];
    const { tree } = await bench.unpack(
      rawTar(
        ...names.map((name): RawEntry => ({ name, type: "2", link, uid: 9, mode: 0o777 })),
        { name: "a", body: "own", mode: 0o600 },
        { name: "b", type: "5", mode: 0o700 },
        { name: ".wh.c" },
      ),
    );
    expect(tree["a"]).toContain("100600");
    expect(tree["b"]).toContain("40700");
    bench.assertUntouched();
  });

  test("T15 whiteouts and opaque marks below them stay inside", async () => {
    await using bench = openLayerBench();
    await bench.unpack(
      rawTar(
        { name: "d", type: "2", link: bench.canary },
        { name: "d/.wh.f" },
        { name: "d/.wh..wh..opq" },
      ),
    );
    bench.assertUntouched();
  });

  test.for([
    ["two links in a circle", { a: "b", b: "a" }],
    ["a link to itself", { a: "a" }],
    [
      "41 hops",
      Object.fromEntries(Array.from({ length: 41 }, (_, n) => [n ? `l${n}` : "a", `l${n + 1}`])),
    ],
  ] as const)("T05 %s are refused", async ([, links]) => {
    await using bench = openLayerBench();
    const entries = Object.entries(links).map(([name, link]) => ({ name, type: "2", link }));
    const unpacked = bench.unpack(rawTar(...entries, { name: "a/x" }));
    await expect(unpacked).rejects.toMatchObject({ kind: "LayerInvalid" });
    bench.assertUntouched();
  });

  test.for([
    ["no target", ""],
    ["a target of 4096 bytes", "t".repeat(4096)],
    ["a target with NUL", "a\0b"],
  ] as const)("T08 a link with %s is refused", async ([, target]) => {
    await using bench = openLayerBench();
    const entry: RawEntry = {
      name: "l",
      type: "2",
      ...(target && { pax: [["linkpath", target]] }),
    };
    await expect(bench.unpack(rawTar(entry))).rejects.toMatchObject({ kind: "LayerInvalid" });
  });

  test.for(["0", "6"])("T43 a parent that is no directory (type %s) is refused", async (type) => {
    await using bench = openLayerBench();
    const unpacked = bench.unpack(rawTar({ name: "p", type }, { name: "p/x" }));
    await expect(unpacked).rejects.toMatchObject({ kind: "LayerInvalid" });
  });
});
