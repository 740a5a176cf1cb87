import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { digestOf } from "@stowage/content";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decompress, detectCompression } from "../src/layer/decompress.ts";

const BYTES = Buffer.from("some content of a layer, ".repeat(400));
const GZIP = gzipSync(BYTES);
const ZSTD = zstdCompressSync(BYTES);
const SKIPPABLE = Buffer.from("502a4d180400000001020304", "hex");
const TWICE = Buffer.concat([BYTES, BYTES]);

describe("decompress", () => {
  test.for<[string, Buffer, Buffer]>([
    ["Z03 members of gzip", Buffer.concat([GZIP, GZIP]), TWICE],
    ["Z03 gzip and zeros", Buffer.concat([GZIP, Buffer.alloc(9000)]), BYTES],
    ["Z10 frames of zstd", Buffer.concat([ZSTD, ZSTD]), TWICE],
    ["Z09 skippable frames", Buffer.concat([SKIPPABLE, ZSTD, SKIPPABLE, ZSTD, SKIPPABLE]), TWICE],
    ["a plain archive", BYTES, BYTES],
  ])("Z12 reads %s, however they are cut", async ([, packed, bytes]) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: packed.length }), async (size) => {
        expect((await unpacked(packed, size)).equals(bytes)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("reads frames that are not small", async () => {
    const bytes = Buffer.alloc(40_000_000, "large ");
    const packed = Buffer.concat([zstdCompressSync(bytes), ZSTD]);
    expect((await unpacked(packed, 1000)).equals(Buffer.concat([bytes, BYTES]))).toBe(true);
  });

  test.for<[string, Buffer]>([
    ["Z01 gzip", GZIP],
    ["Z07 zstd", ZSTD],
  ])("%s that is cut anywhere is refused", async ([, packed]) => {
    for (let length = 6; length < packed.length; length += 1) {
      await expect(unpacked(packed.subarray(0, length)), `${length}`).rejects.toMatchObject({
        code: "ERR_STORE_DECOMPRESS",
      });
    }
  });

  test.for<[string, Buffer]>([
    ["Z02 gzip with a wrong checksum", altered(GZIP, GZIP.length - 8)],
    ["Z02 gzip with a wrong length", altered(GZIP, GZIP.length - 1)],
    ["Z03 gzip and garbage", Buffer.concat([GZIP, Buffer.from("garbage behind it")])],
    [
      "Z03 gzip, zeros and garbage",
      Buffer.concat([GZIP, Buffer.alloc(99), Buffer.from("garbage")]),
    ],
    ["Z03 gzip, zeros and a member", Buffer.concat([GZIP, Buffer.alloc(99), GZIP])],
    ["Z07 zstd and garbage", Buffer.concat([ZSTD, Buffer.from("garbage")])],
    ["Z07 zstd with a reserved bit", altered(ZSTD, 4, 0x08)],
    ["Z10 zstd and gzip", Buffer.concat([ZSTD, GZIP])],
  ])("%s is refused", async ([, packed]) => {
    await expect(unpacked(packed)).rejects.toMatchObject({ code: "ERR_STORE_DECOMPRESS" });
  });

  test("Z08 a zstd window over 128 MiB is refused, and one of 128 MiB is not", async () => {
    const frame = (windowLog: number): Buffer =>
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, 1, 0, 0]);
    expect(await unpacked(frame(27))).toHaveLength(0);
    await expect(unpacked(frame(28))).rejects.toMatchObject({ kind: "LimitExceeded" });
    const single = Buffer.concat([Buffer.from("28b52ffde0", "hex"), Buffer.alloc(8, 0x10)]);
    await expect(unpacked(single)).rejects.toMatchObject({ kind: "LimitExceeded" });
  });
});

describe("a decompressor that fails", () => {
  test.for<[string, Buffer, "gzip" | "zstd"]>([
    ["gzip", GZIP, "gzip"],
    ["zstd", Buffer.concat([zstdCompressSync(randomBytes(500_000)), ZSTD]), "zstd"],
  ])(
    "Z14 does so once, in the iteration, however early it was left (%s)",
    async ([, packed, kind]) => {
      const stray: unknown[] = [];
      const note = (error: unknown): void => void stray.push(error);
      process.on("unhandledRejection", note).on("uncaughtException", note);
      try {
        const broken = [packed.subarray(0, -9), Buffer.alloc(9, 0x55), Buffer.alloc(9, 0x55)];
        for (const chunks of [broken, [packed], [...broken, packed]]) {
          const left = decompress(chunks, kind, 9);
          await left.next();
          await left.return();
          const read = Array.fromAsync(decompress(broken, kind, 9));
          await expect(read).rejects.toMatchObject({ code: "ERR_STORE_DECOMPRESS" });
        }
        const thrown = new Error("the disk");
        const failing = function* (): Generator<Buffer> {
          yield packed.subarray(0, 20);
          throw thrown;
        };
        await expect(Array.fromAsync(decompress(failing(), kind, 9))).rejects.toBe(thrown);
        await new Promise((resolve) => setImmediate(resolve));
        expect(stray).toEqual([]);
      } finally {
        process.off("unhandledRejection", note).off("uncaughtException", note);
      }
    },
  );

  test("Z12 in a row of 1-byte chunks and one of 64 MiB comes to the same", async () => {
    const bytes = Buffer.alloc(64 * 2 ** 20, "content ");
    const large = gzipSync(bytes);
    const whole = digestOf(await unpacked(large, large.length));
    expect(whole).toBe(digestOf(bytes));
    expect(digestOf(await unpacked(large, 1))).toBe(whole);
  });
});

describe("detectCompression", () => {
  test.for([
    ["bzip2", "425a6839"],
    ["xz", "fd377a585a0000"],
    ["lz4", "04224d18"],
    ["compress", "1f9d90"],
  ] as const)("Z11 refuses %s", ([, hex]) => {
    expect(() => detectCompression(Buffer.from(hex, "hex"))).toThrowError(
      expect.objectContaining({
        code: "ERR_STORE_UNSUPPORTED_COMPRESSION",
        kind: "MediaTypeUnsupported",
      }),
    );
  });
});

async function unpacked(packed: Buffer, chunkBytes = 65_536): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const cut = Array.from({ length: Math.ceil(packed.length / chunkBytes) }, (_, index) =>
    packed.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
  for await (const chunk of decompress(cut, detectCompression(packed), 1000)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function altered(bytes: Buffer, index: number, bit = 1): Buffer {
  return Buffer.from(bytes.with(index, (bytes[index] ?? 0) ^ bit));
}
