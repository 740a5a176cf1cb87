import { constants, zstdCompressSync } from "node:zlib";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decompress } from "../src/layer/decompress.ts";
import { unzstdFrames } from "../src/layer/unzstd-frames.ts";
import { createZstdDecompressor, type ZstdDecompressor } from "../src/linux/node-zstd.ts";
import { collect, cut, flip, inOneBuffer, outcome } from "./support/packed-bytes.ts";

const decompressor = createZstdDecompressor(27);
const TEXT = Buffer.from("stowage ".repeat(40_000));
const OUTPUT_BYTES = 1000;
const MAX_FRAMES = 1000;
const SKIPPABLE = Buffer.from("502a4d1803000000616263", "hex");

describe.runIf(decompressor !== undefined)(
  "unzstdFrames, where Node lets its decompressor be called",
  () => {
    test("unpacks whatever zstd packed, however it is cut", async () => {
      const frames = fc.array(fc.uint8Array({ maxLength: 3000 }), { minLength: 1, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(frames, fc.integer({ min: 1, max: 700 }), async (contents, size) => {
          const blob = Buffer.concat(contents.map((content) => zstdCompressSync(content)));
          expect(unpack(cut(blob, size))).toEqual(Buffer.concat(contents));
        }),
      );
    });

    test("unpacks a frame of a known size that is whole at once", () => {
      const blob = zstdCompressSync(TEXT.subarray(0, 400));
      const output = Buffer.alloc(OUTPUT_BYTES);
      decompressor?.reset();
      const unpacked = decompressor?.decompress(blob, output);
      expect(unpacked).toEqual({ taken: blob.length, filled: 400, isEnd: true });
      expect(output.subarray(0, 400).equals(TEXT.subarray(0, 400))).toBe(true);
    });

    test("unpacks frames of many blocks", () => {
      const noise = Buffer.from(Array.from({ length: 500_000 }, (_, n) => (n * n * 7919) >> 5));
      const blob = Buffer.concat([zstdCompressSync(noise), zstdCompressSync(TEXT)]);
      expect(unpack(cut(blob, 65_536)).equals(Buffer.concat([noise, TEXT]))).toBe(true);
    });

    test.for([
      ["nothing behind it", (blob: Buffer) => blob],
      ["zeros behind it", (blob: Buffer) => Buffer.concat([blob, Buffer.alloc(30)])],
      ["another frame behind it", (blob: Buffer) => Buffer.concat([blob, blob])],
      ["frames to skip around it", (blob: Buffer) => Buffer.concat([SKIPPABLE, blob, SKIPPABLE])],
      ["text behind it", (blob: Buffer) => Buffer.concat([blob, Buffer.from("more")])],
      ["half a header behind it", (blob: Buffer) => Buffer.concat([blob, blob.subarray(0, 5)])],
      ["its checksum cut", (blob: Buffer) => blob.subarray(0, -3)],
      ["its body cut", (blob: Buffer) => blob.subarray(0, blob.length / 2)],
      ["only a header", (blob: Buffer) => blob.subarray(0, 6)],
      ["a wrong checksum", (blob: Buffer) => flip(blob, blob.length - 1)],
      ["too many frames", () => Buffer.concat(Array(1001).fill(zstdCompressSync("")))],
    ] as const)("judges a stream as Node does that has %s", async ([, change]) => {
      const params = { [constants.ZSTD_c_checksumFlag]: 1 };
      const blob = change(zstdCompressSync(TEXT, { params }));
      for (const size of [1, 3, 64, blob.length]) {
        const ours = await outcome(() => Promise.resolve(unpack(cut(blob, size))));
        const nodes = await outcome(() => collect(decompress(cut(blob, size), "zstd", MAX_FRAMES)));
        expect(ours).toEqual(nodes);
      }
    });

    test("judges any change of a stream as Node does", async () => {
      const params = { [constants.ZSTD_c_checksumFlag]: 1 };
      const blob = zstdCompressSync(TEXT.subarray(0, 400), { params });
      const change = fc.tuple(fc.nat(blob.length - 1), fc.nat(7));
      await fc.assert(
        fc.asyncProperty(change, async ([position, bit]) => {
          const changed = flip(blob, position, bit);
          const ours = await outcome(() => Promise.resolve(unpack([changed])));
          const nodes = await outcome(() => collect(decompress([changed], "zstd", MAX_FRAMES)));
          expect(ours).toEqual(nodes);
        }),
        { numRuns: 1000 },
      );
    });
  },
);

function unpack(chunks: readonly Buffer[]): Buffer {
  const output: Buffer[] = [];
  const slot = Buffer.alloc(OUTPUT_BYTES);
  const sink = {
    reserve: () => slot,
    commit: (length: number) => void output.push(Buffer.from(slot.subarray(0, length))),
  };
  unzstdFrames(decompressor as ZstdDecompressor, inOneBuffer(chunks), sink, MAX_FRAMES);
  return Buffer.concat(output);
}
