import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { rawTar } from "../support/raw-tar.ts";

describe("whiteouts of what is no name", () => {
  test.for([".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh../../x", ".wh.a/b"])(
    "T12 %s is refused",
    async (name) => {
      await using bench = openLayerBench();
      const unpacked = bench.unpack(rawTar({ name: "a", type: "5" }, { name }));
      await expect(unpacked).rejects.toMatchObject({ kind: "LayerInvalid" });
      bench.assertUntouched();
    },
  );

  test("T12 an opaque mark in a missing directory makes it; in the root it is reported", async () => {
    await using bench = openLayerBench();
    const layer = await bench.unpack(
      rawTar({ name: "a/b/.wh..wh..opq" }, { name: ".wh..wh..opq" }),
    );
    expect(layer.isRootOpaque).toBe(true);
    expect(layer.tree["a/b"]).toContain("overlay.opaque=79");
  });
});
