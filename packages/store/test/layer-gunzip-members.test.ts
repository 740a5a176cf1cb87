import { gzipSync } from "node:zlib";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decompress } from "../src/layer/decompress.ts";
import { gunzipMembers } from "../src/layer/gunzip-members.ts";
import { createInflater, type Inflater } from "../src/linux/isal.ts";
import { collect, cut, flip, inOneBuffer, outcome } from "./support/packed-bytes.ts";

const inflater = createInflater();
const TEXT = Buffer.from("stowage ".repeat(4000));
const OUTPUT_BYTES = 1000;

describe.runIf(inflater !== undefined)("gunzipMembers, with the library installed", () => {
  test("unpacks whatever zlib packed, however it is cut", async () => {
    const members = fc.array(fc.uint8Array({ maxLength: 3000 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(members, fc.integer({ min: 1, max: 700 }), async (contents, size) => {
        const blob = Buffer.concat(contents.map((content) => gzipSync(content)));
        expect(unpack(cut(blob, size))).toEqual(Buffer.concat(contents));
      }),
    );
  });

  test.for([
    ["nothing behind it", (blob: Buffer) => blob],
    ["zeros behind it", (blob: Buffer) => Buffer.concat([blob, Buffer.alloc(3000)])],
    ["another member behind it", (blob: Buffer) => Buffer.concat([blob, blob])],
    ["text behind it", (blob: Buffer) => Buffer.concat([blob, Buffer.from("more")])],
    [
      "zeros and a member behind it",
      (blob: Buffer) => Buffer.concat([blob, Buffer.alloc(9), blob]),
    ],
    ["half a header behind it", (blob: Buffer) => Buffer.concat([blob, blob.subarray(0, 5)])],
    ["its trailer cut", (blob: Buffer) => blob.subarray(0, -3)],
    ["its body cut", (blob: Buffer) => blob.subarray(0, blob.length / 2)],
    ["only a header", (blob: Buffer) => blob.subarray(0, 10)],
    ["a wrong checksum", (blob: Buffer) => flip(blob, blob.length - 8)],
    ["a wrong length", (blob: Buffer) => flip(blob, blob.length - 1)],
    ["an unknown method", (blob: Buffer) => flip(blob, 2)],
    ["unknown flags", (blob: Buffer) => Buffer.from(blob.with(3, 0xe0))],
    ["a name", (blob: Buffer) => named(blob)],
  ] as const)("judges a stream as zlib does that has %s", async ([, change]) => {
    const blob = change(gzipSync(TEXT));
    for (const size of [1, 3, 64, blob.length]) {
      const ours = await outcome(() => Promise.resolve(unpack(cut(blob, size))));
      const zlibs = await outcome(() => collect(decompress(cut(blob, size), "gzip", 1000)));
      expect(ours).toEqual(zlibs);
    }
  });

  test("judges any change of a stream as zlib does", async () => {
    const blob = gzipSync(TEXT.subarray(0, 400));
    const change = fc.tuple(fc.nat(blob.length - 1), fc.nat(7));
    await fc.assert(
      fc.asyncProperty(change, async ([position, bit]) => {
        const changed = flip(blob, position, bit);
        const ours = await outcome(() => Promise.resolve(unpack([changed])));
        expect(ours).toEqual(await outcome(() => collect(decompress([changed], "gzip", 1000))));
      }),
      { numRuns: 1000 },
    );
  });
});

function unpack(chunks: readonly Buffer[]): Buffer {
  const output: Buffer[] = [];
  const slot = Buffer.alloc(OUTPUT_BYTES);
  (inflater as Inflater).reset();
  gunzipMembers(inflater as Inflater, inOneBuffer(chunks), {
    reserve: () => slot,
    commit: (length) => output.push(Buffer.from(slot.subarray(0, length))),
  });
  return Buffer.concat(output);
}

function named(bytes: Buffer): Buffer {
  const name = Buffer.from("a name\0");
  return Buffer.concat([bytes.subarray(0, 10).with(3, 8), name, bytes.subarray(10)]);
}
