import { existsSync, readdirSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { unpackLayer } from "../src/layer/unpack-layer.ts";
import { openLayerBench } from "./support/layer-bench.ts";
import { rawTar } from "./support/raw-tar.ts";

const MANY = rawTar(...Array.from({ length: 20_000 }, (_, n) => ({ name: `d/${n}`, body: "x" })));

describe("unpackLayer", () => {
  test.for([1, 2] as const)(
    "%s threads stop in the middle when the signal fires, reject with its reason, and write no more",
    async (threads) => {
      await using bench = await openLayerBench();
      const controller = new AbortController();
      const reason = new Error("interrupted");
      const onProgress = (): void => {
        if (existsSync(`${bench.directory}/diff-1/d`)) controller.abort(reason);
      };
      const unpacked = bench.unpack(MANY, {
        signal: controller.signal,
        onProgress,
        threads,
      });
      await expect(unpacked).rejects.toBe(reason);
      const names = readdirSync(`${bench.directory}/diff-1/d`).length;
      expect(names).toBeLessThan(20_000);
      await bench.unpack(rawTar({ name: "another" }));
      expect(readdirSync(`${bench.directory}/diff-1/d`)).toHaveLength(names);
    },
  );

  test("does nothing when its signal has fired before", async () => {
    const reason = new Error("shutting down");
    const signal = AbortSignal.abort(reason);
    const options = { blob: "/nonexistent", diffDir: "/nonexistent", signal };
    await expect(unpackLayer(options)).rejects.toBe(reason);
  });

  test("says what is wrong with the blob's file, and goes on with the next layer", async () => {
    await using bench = await openLayerBench();
    const missing = unpackLayer({ blob: "/nonexistent", diffDir: bench.directory });
    await expect(missing).rejects.toMatchObject({ code: "ERR_STORE_IO" });
    const { entries } = await bench.unpack(rawTar({ name: "a" }));
    expect(entries).toBe(1);
  });

  test("unpacks more layers at once than there are threads, and gives up one that waits", async () => {
    await using bench = await openLayerBench();
    const controller = new AbortController();
    const layers = Array.from({ length: 9 }, (_, n) => bench.unpack(rawTar({ name: `f${n}` })));
    const waiting = bench.unpack(rawTar({ name: "x" }), { signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toBe(controller.signal.reason);
    const trees = (await Promise.all(layers)).map(({ tree }) => Object.keys(tree).at(-1));
    expect(trees).toEqual(Array.from({ length: 9 }, (_, n) => `f${n}`));
  });
});
