import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { rawTar } from "../support/raw-tar.ts";

const isRoot = process.geteuid?.() === 0;

describe.skipIf(!isRoot)(`device nodes${isRoot ? "" : " (skipped: needs root)"}`, () => {
  test("T16 V52 the device that overlayfs takes for a whiteout is refused", async () => {
    await using bench = await openLayerBench();
    const refusal = await bench.refusalOf(rawTar({ name: "d", type: "3", major: 0, minor: 0 }));
    expect(refusal).toMatchObject({ kind: "LayerInvalid" });
  });

  test("T16 numbers that the kernel does not have are refused", async () => {
    await using bench = await openLayerBench();
    for (const [major, minor] of [
      [1, 2 ** 20],
      [2 ** 12, 0],
    ] as const) {
      const refusal = await bench.refusalOf(rawTar({ name: "d", type: "3", major, minor }));
      expect(refusal).toMatchObject({ kind: "LayerInvalid" });
    }
  });

  test("T16 others are made", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "null", type: "3", major: 1, minor: 3, mode: 0o666 },
        { name: "sda", type: "4", major: 8, minor: 0x12345, mode: 0o660, gid: 6 },
        { name: "zero", type: "4", major: 0, minor: 0 },
        { name: "far", type: "3", major: 4095, minor: 2 ** 20 - 1 },
        { name: "pipe", type: "6", mode: 0o622 },
      ),
    );
    expect(tree["null"]).toMatch(/^20666 .* dev 259 /);
    expect(tree["sda"]).toMatch(/^60660 \| 0:6 .* dev 305137733 /);
    expect(tree["pipe"]).toMatch(/^10622 /);
  });
});
