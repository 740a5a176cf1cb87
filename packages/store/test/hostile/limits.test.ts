import { zstdCompressSync } from "node:zlib";

import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { DEFAULT_LAYER_LIMITS, type LayerLimits } from "../../src/layer/layer-limits.ts";
import { makeImage, openWorld, storeImage } from "../support/store-world.ts";
import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

const file: RawEntry = { name: "f", body: "1234" };
const frames = (count: number): Buffer =>
  Buffer.concat([
    zstdCompressSync(rawTar(file)),
    ...Array(count - 1).fill(zstdCompressSync(Buffer.alloc(0))),
  ]);
const attribute = (name: string, value: string): RawEntry => ({
  ...file,
  pax: [[`SCHILY.xattr.${name}`, value]],
});
/** An extended header of exactly so many bytes. */
const comment = (bytes: number): string =>
  `${bytes} comment=${"c".repeat(bytes - String(bytes).length - 10)}\n`;

/** Each limit, as the defaults have it: what is at it, and what is one over. */
const ROWS: readonly (readonly [keyof LayerLimits, number, string, (n: number) => Buffer])[] = [
  [
    "maxEntries",
    3,
    "ERR_STORE_LIMIT_EXCEEDED",
    (n) => rawTar(...Array.from({ length: n }, (_, i) => ({ name: `${i}` }))),
  ],
  ["maxNameBytes", 20, "ERR_STORE_INVALID_LAYER", (n) => rawTar({ name: `d/${"n".repeat(n)}` })],
  ["maxDepth", 5, "ERR_STORE_INVALID_LAYER", (n) => rawTar({ name: `${"d/".repeat(n - 1)}x` })],
  [
    "maxXattrs",
    3,
    "ERR_STORE_INVALID_LAYER",
    (n) =>
      rawTar({
        ...file,
        pax: Array.from({ length: n }, (_, i) => [`SCHILY.xattr.user.${i}`, "v"] as const),
      }),
  ],
  [
    "maxXattrBytes",
    64,
    "ERR_STORE_INVALID_LAYER",
    (n) => rawTar(attribute("user.a", "v".repeat(n - "user.a".length))),
  ],
  [
    "maxHeaderBytes",
    600,
    "ERR_STORE_INVALID_LAYER",
    (n) => rawTar({ name: "x", type: "x", body: comment(n) }, file),
  ],
  [
    "maxHeaderBytes",
    200,
    "ERR_STORE_INVALID_LAYER",
    (n) => rawTar({ name: "x", type: "L", body: "l".repeat(n) }, file),
  ],
  [
    "maxBytes",
    2048,
    "ERR_STORE_LIMIT_EXCEEDED",
    (n) => Buffer.concat([rawTar(file), Buffer.alloc(n - 2048)]),
  ],
  ["maxFrames", 4, "ERR_STORE_LIMIT_EXCEEDED", frames],
  ["freeBytes", 4, "ERR_STORE_NO_SPACE", (n) => rawTar({ ...file, body: "x".repeat(n) })],
];

describe("limits", () => {
  test.for(ROWS)("V50 %s: %s are taken, and one more is %s", async ([limit, n, code, make]) => {
    await using bench = await openLayerBench();
    const limits = { [limit]: n };
    await bench.unpack(make(n), { limits });
    await expect(bench.unpack(make(n + 1), { limits })).rejects.toMatchObject({ code });
  });

  test("V50 have the values that are documented", () => {
    expect(DEFAULT_LAYER_LIMITS).toEqual({
      maxEntries: 2_000_000,
      maxPathBytes: 4096,
      maxNameBytes: 255,
      maxDepth: 1024,
      maxHeaderBytes: 2 ** 20,
      maxXattrs: 64,
      maxXattrBytes: 2 ** 16,
      maxBytes: 2 ** 36,
      maxFrames: 1_000_000,
      maxImageBytes: 2 ** 38,
      freeBytes: Infinity,
    });
  });

  test("V50 are set for a store, and all layers of an image count together", async () => {
    const [one, two] = [
      { name: "one", body: "1" },
      { name: "two", body: "2".repeat(5000) },
    ];
    const image = makeImage([one], [two]);
    const [lower, upper] = [rawTar(one).length, rawTar(two).length];
    const total = lower + upper;
    for (const [limits, fits] of [
      [{ maxImageBytes: total }, true],
      [{ maxImageBytes: total - 1 }, false],
      [{ maxBytes: upper }, true],
      [{ maxBytes: upper - 1 }, false],
    ] as const) {
      await using own = await openWorld(limits);
      const stored = storeImage(own.store, image, "app:1");
      if (fits) await stored;
      else await expect(stored).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
      expect((await own.store.images.list()).images).toHaveLength(fits ? 1 : 0);
      await own.store.collectGarbage();
      expect((await own.store.check({ deep: true })).damages).toEqual([]);
    }
  });

  test.for([
    { maxEntries: 0 },
    { maxBytes: -1 },
    { maxImageBytes: 1.5 },
    { maxXattrs: Number.NaN },
    { maxNameBytes: 256 },
    { maxPathBytes: 4097 },
  ])("V50 that are none are refused: %o", async (limits) => {
    await using world = await openWorld();
    await expect(openStore({ ...world, limits })).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_ARGUMENT",
    });
  });

  test("T39 a file of 8 EiB or 1 TiB that is not there is refused before a byte is written", async () => {
    await using bench = await openLayerBench();
    const eib = Buffer.from("800000008000000000000000", "hex");
    const tooLarge = await bench.refusalOf(rawTar({ ...file, size: eib }));
    expect(tooLarge).toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
    const overCap = await bench.refusalOf(rawTar({ ...file, size: 2 ** 40 }));
    expect(overCap).toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
    const noRoom = await bench.refusalOf(rawTar({ ...file, size: 2 ** 40 }), {
      limits: { maxBytes: 2 ** 41 },
    });
    expect(noRoom).toMatchObject({ code: "ERR_STORE_NO_SPACE" });
  });
});
