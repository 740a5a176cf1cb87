import { existsSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { removeTree } from "../../src/linux/tree.ts";
import { openLayerBench } from "../support/layer-bench.ts";
import { rawTar } from "../support/raw-tar.ts";

const named = (path: string): Buffer => rawTar({ name: "x", pax: [["path", path]] });

describe("paths at the limits", () => {
  test.for([
    ["a component of 256 bytes", "n".repeat(256)],
    ["a path of 4097 bytes", `${"dddddddd/".repeat(455)}xx`],
    ["a path that is too long below the store", `${"dddddddd/".repeat(454)}x`],
    ["a path of 1025 components", `${"d/".repeat(1024)}x`],
  ] as const)("T36 %s is refused, and what was made can be removed", async ([, path]) => {
    await using bench = await openLayerBench();
    expect(await bench.refusalOf(named(path))).toMatchObject({ kind: "LayerInvalid" });
  });

  test("T36 a component of 255 bytes and a path of 1024 components are taken, and can be removed", async () => {
    await using bench = await openLayerBench();
    const path = `${"d/".repeat(1023)}x`;
    const { entries, diffDir } = await bench.unpack(
      rawTar({ name: "x", pax: [["path", "n".repeat(255)]] }, { name: "x", pax: [["path", path]] }),
    );
    expect(entries).toBe(2);
    expect(existsSync(`${diffDir}/${path}`)).toBe(true);
    await removeTree(diffDir);
    expect(existsSync(diffDir)).toBe(false);
  });

  test("T36 the longest path below the store is taken, and one byte more is not", async () => {
    await using bench = await openLayerBench();
    const limits = { maxPathBytes: `${bench.directory}/diff-1`.length + 2 + 40 };
    const taken = await bench.unpack(named(`${"d".repeat(38)}/x`), { limits });
    expect(Object.keys(taken.tree)).toContain(`${"d".repeat(38)}/x`);
    const refused = bench.unpack(named(`${"d".repeat(39)}/x`), { limits });
    await expect(refused).rejects.toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
  });

  test("T36 no tree deeper than the kernel's paths can be made by way of links", async () => {
    await using bench = await openLayerBench();
    const deep = "d/".repeat(900);
    const refusal = await bench.refusalOf(
      rawTar(
        { name: "s", type: "2", link: "d" },
        { name: "x", type: "5", pax: [["path", deep]] },
        { name: "t", type: "2", pax: [["linkpath", deep]] },
        { name: "x", type: "5", pax: [["path", `t/e${deep}`]] },
        { name: "u", type: "2", pax: [["linkpath", `t/e${deep}`]] },
        { name: "x", type: "5", pax: [["path", `u/e${deep}`]] },
      ),
    );
    expect(refusal).toMatchObject({ kind: "LayerInvalid" });
  });
});
