import { constants, zstdCompressSync } from "node:zlib";

import { describe, expect, test } from "vitest";

import { decompress } from "../../src/layer/decompress.ts";
import { openLayerBench } from "../support/layer-bench.ts";
import { rawTar } from "../support/raw-tar.ts";

const ARCHIVE = rawTar({ name: "f", body: "some content ".repeat(200) });
const SUMMED = zstdCompressSync(ARCHIVE, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
const EMPTY = Buffer.from("28b52ffd040001000099e9d851", "hex");
const skippable = (length: number): Buffer => {
  const head = Buffer.from("502a4d1800000000", "hex");
  head.writeUInt32LE(length, 4);
  return head;
};
const frame = (descriptor: number, ...fields: number[]): Buffer =>
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...fields]);

describe("zstd streams", () => {
  test.for<[string, Buffer]>([
    ["that is cut", SUMMED.subarray(0, -1)],
    ["with a wrong checksum", Buffer.concat([SUMMED.subarray(0, -1), Buffer.of(0x55)])],
    ["that needs a dictionary", Buffer.concat([frame(0x01, 0x58, 7), SUMMED.subarray(6)])],
    ["with a reserved bit", Buffer.concat([frame(0x08, 0x58), SUMMED.subarray(6)])],
    [
      "with a block of the reserved type",
      Buffer.concat([frame(0x00, 0x58), Buffer.from([7, 0, 0])]),
    ],
    ["of an old version", Buffer.concat([SUMMED, Buffer.from("27b52ffd00", "hex")])],
    ["with a gzip member behind it", Buffer.concat([SUMMED, Buffer.from([0x1f, 0x8b, 8, 0])])],
    ["with zeros behind it", Buffer.concat([SUMMED, Buffer.alloc(8)])],
    ["with a skippable frame that is cut", Buffer.concat([SUMMED, skippable(9), Buffer.alloc(8)])],
  ])("Z07 Z10 one %s is refused", async ([, packed]) => {
    await using bench = await openLayerBench();
    await expect(bench.unpack(packed)).rejects.toMatchObject({ code: "ERR_STORE_DECOMPRESS" });
  });

  test("Z10 a table of contents at the end that lies is passed over: only the stream counts", async () => {
    await using bench = await openLayerBench();
    const lie = Buffer.from('{"version":1,"entries":[{"name":"evil"}]}');
    const { tree } = await bench.unpack(
      Buffer.concat([skippable(0), SUMMED, skippable(lie.length), lie, EMPTY]),
    );
    expect(Object.keys(tree)).toEqual(["", "f"]);
  });

  test("Z08 a frame of one segment of 2^40 bytes is refused before any memory is taken", async () => {
    await using bench = await openLayerBench();
    const huge = Buffer.concat([frame(0xe0, 0, 0, 0, 0, 0, 1, 0, 0), Buffer.alloc(99)]);
    const before = process.memoryUsage.rss();
    await expect(bench.unpack(huge)).rejects.toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 26);
  });

  test("Z09 1,000,000 skippable frames are read over, and one more is refused", async () => {
    const frames = function* (count: number): Generator<Buffer> {
      const many = Buffer.concat(Array.from({ length: 10_000 }, () => skippable(0)));
      for (let left = count; left > 0; left -= 10_000) yield many.subarray(0, 8 * left);
    };
    expect(await unpackedBytes(frames(1_000_000))).toBe(0);
    await expect(unpackedBytes(frames(1_000_001))).rejects.toMatchObject({
      code: "ERR_STORE_LIMIT_EXCEEDED",
    });
  });

  test("Z09 a skippable frame of 1 GiB is read over, in the memory of a chunk", async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const frames = function* (): Generator<Buffer> {
      yield skippable(2 ** 30);
      for (let count = 0; count < 1024; count += 1) yield chunk;
      yield SUMMED;
    };
    const before = process.memoryUsage.rss();
    expect(await unpackedBytes(frames())).toBe(ARCHIVE.length);
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 26);
  });
});

async function unpackedBytes(chunks: Iterable<Buffer>): Promise<number> {
  let bytes = 0;
  for await (const chunk of decompress(chunks, "zstd", 1_000_000)) bytes += chunk.length;
  return bytes;
}
