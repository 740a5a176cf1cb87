import { gzipSync } from "node:zlib";

import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { rawTar } from "../support/raw-tar.ts";

const MIB = 1024 * 1024;
const ARCHIVE = rawTar({ name: "f", body: "some content ".repeat(200) });
const PACKED = gzipSync(ARCHIVE);
const DEFLATED = PACKED.subarray(10);
const FLAG = { text: 1, headerSum: 2, extra: 4, name: 8, comment: 16 } as const;

/** A member whose header has what its flags say. */
const member = (flags: number, fields: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3]), fields, DEFLATED]);

describe("gzip streams", () => {
  test("Z01 one that is cut at any byte is refused, and shows no layer", async () => {
    await using bench = await openLayerBench();
    const lengths = Array.from({ length: PACKED.length - 1 }, (_, index) => index + 1);
    for (const length of lengths) {
      const unpacked = bench.unpack(PACKED.subarray(0, length));
      await expect(unpacked, `${length} bytes`).rejects.toMatchObject({
        // A single byte is no gzip stream yet.
        kind: length === 1 ? "LayerInvalid" : "DecompressError",
      });
    }
  });

  test.for<[string, Buffer]>([
    [
      "a name of 1 MiB",
      member(FLAG.name, Buffer.concat([Buffer.alloc(MIB, "n"), Buffer.alloc(1)])),
    ],
    [
      "a comment of 1 MiB",
      member(FLAG.comment, Buffer.concat([Buffer.alloc(MIB, "c"), Buffer.alloc(1)])),
    ],
    [
      "an extra field of 64 KiB",
      member(FLAG.extra, Buffer.concat([Buffer.from([0xff, 0xff]), Buffer.alloc(65_535, "e")])),
    ],
    ["the mark of text", member(FLAG.text, Buffer.alloc(0))],
  ])("Z04 a header with %s is read over", async ([, packed]) => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(packed);
    expect(Object.keys(tree)).toEqual(["", "f"]);
  });

  test.for<[string, Buffer]>([
    ["reserved flags", member(0x80, Buffer.alloc(0))],
    ["a wrong checksum of its own", member(FLAG.headerSum, Buffer.from([1, 2]))],
    [
      "another method than deflate",
      Buffer.concat([Buffer.from([0x1f, 0x8b, 7]), PACKED.subarray(3)]),
    ],
    [
      "a name that never ends",
      Buffer.concat([
        Buffer.from([0x1f, 0x8b, 8, FLAG.name, 0, 0, 0, 0, 0, 3]),
        Buffer.alloc(MIB, "n"),
      ]),
    ],
  ])("Z04 a header with %s is refused", async ([, packed]) => {
    await using bench = await openLayerBench();
    await expect(bench.unpack(packed)).rejects.toMatchObject({ code: "ERR_STORE_DECOMPRESS" });
  });

  test.for<[string, Buffer]>([
    ["garbage", Buffer.concat([PACKED, Buffer.from("garbage")])],
    [
      "one other byte behind zeros",
      Buffer.concat([PACKED, Buffer.alloc(3 * MIB), Buffer.from("x")]),
    ],
    ["a member behind zeros", Buffer.concat([PACKED, Buffer.alloc(1), PACKED])],
    ["half a member", Buffer.concat([PACKED, PACKED.subarray(0, 30)])],
    ["a zstd frame", Buffer.concat([PACKED, Buffer.from("28b52ffd0400010000", "hex")])],
    [
      "a wrong checksum",
      Buffer.concat([PACKED.subarray(0, -8), Buffer.alloc(4), PACKED.subarray(-4)]),
    ],
  ])("Z02 Z03 Z10 one with %s at its end is refused", async ([, packed]) => {
    await using bench = await openLayerBench();
    await expect(bench.unpack(packed)).rejects.toMatchObject({ code: "ERR_STORE_DECOMPRESS" });
  });

  test("Z03 members in a row and zeros at the end are taken", async () => {
    await using bench = await openLayerBench();
    const pieces = Array.from({ length: 700 }, (_, n) => ARCHIVE.subarray(n * 8, n * 8 + 8));
    const members = [...pieces.map((piece) => gzipSync(piece)), gzipSync(Buffer.alloc(0))];
    const plain = await bench.unpack(ARCHIVE);
    for (const packed of [
      members,
      [...members, Buffer.alloc(1)],
      [...members, Buffer.alloc(2 * MIB)],
    ]) {
      const { tree, diffID } = await bench.unpack(Buffer.concat(packed));
      expect({ tree, diffID }).toEqual({ tree: plain.tree, diffID: plain.diffID });
    }
  });

  test("Z06 one in another is unpacked once, and is no archive then", async () => {
    await using bench = await openLayerBench();
    for (const inner of [PACKED, gzipSync(PACKED)]) {
      await expect(
        bench.unpack(gzipSync(Buffer.concat([inner, Buffer.alloc(512)]))),
      ).rejects.toMatchObject({
        code: "ERR_STORE_INVALID_LAYER",
      });
    }
  });
});
