import { gzipSync, zstdCompressSync } from "node:zlib";

import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { rawEntry } from "../support/raw-tar.ts";

const MIB = 1024 * 1024;

describe("layers that are larger than they look", () => {
  test.for([
    ["gzip", gzipSync],
    ["zstd", (bytes: Buffer) => zstdCompressSync(bytes)],
  ] as const)("Z05 Z09 a %s bomb stops at the limit", async ([, pack]) => {
    await using bench = await openLayerBench();
    const blob = pack(rawEntry({ name: "zeros", body: Buffer.alloc(64 * MIB) }));
    const limits = { maxBytes: 65 * MIB };
    await bench.unpack(blob, { limits });
    await expect(bench.unpack(blob, { limits: { maxBytes: 64 * MIB } })).rejects.toMatchObject({
      code: "ERR_STORE_LIMIT_EXCEEDED",
    });
  });

  test("T39 a file that says it is huge is refused before a byte is written", async () => {
    await using bench = await openLayerBench();
    const blob = rawEntry({ name: "huge", size: 2 ** 46 });
    await expect(bench.unpack(blob)).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
  });

  test("Z09 frames over the limit are refused", async () => {
    await using bench = await openLayerBench();
    const blob = Buffer.concat(Array(11).fill(zstdCompressSync(Buffer.alloc(512))));
    await bench.unpack(blob, { limits: { maxFrames: 11 } });
    await expect(bench.unpack(blob, { limits: { maxFrames: 10 } })).rejects.toMatchObject({
      code: "ERR_STORE_LIMIT_EXCEEDED",
    });
  });
});
