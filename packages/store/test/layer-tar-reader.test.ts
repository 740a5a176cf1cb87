import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { DEFAULT_LAYER_LIMITS } from "../src/layer/layer-limits.ts";
import { createTarReader } from "../src/layer/tar-reader.ts";
import { type RawEntry, rawTar } from "./support/raw-tar.ts";

const ARCHIVE: readonly RawEntry[] = [
  { name: "directory/", type: "5" },
  { name: "empty" },
  { name: "block", body: "b".repeat(512) },
  {
    name: "odd",
    body: "o".repeat(700),
    pax: [
      ["mtime", "1.5"],
      ["SCHILY.xattr.user.a", "v"],
    ],
  },
  { name: "long", type: "L", body: `${"n".repeat(200)}\0` },
  { name: "cut", body: "long name" },
  { name: "link", type: "2", link: "odd" },
];

describe("createTarReader", () => {
  test("tells of the same entries, however the bytes are cut", () => {
    const bytes = rawTar(...ARCHIVE);
    const whole = read([bytes]);
    expect(whole).toHaveLength(6);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (sizes) => {
        expect(read(cut(bytes, sizes))).toEqual(whole);
      }),
    );
  });

  test("V50 ends on any bytes, with entries or with an error of its own", () => {
    const bytes = rawTar(...ARCHIVE);
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
        const damaged = changes.reduce((all, { at, to }) => Buffer.from(all.with(at, to)), bytes);
        try {
          read([damaged]);
        } catch (error) {
          expect(error).toMatchObject({ name: "StoreError" });
        }
      }),
      { numRuns: 500 },
    );
  });

  test("T34 shows an entry and its content in order, and nothing after an error", () => {
    expect(read([rawTar({ name: "a", body: "1" }, { name: "b", body: "22" })])).toEqual([
      expect.objectContaining({ path: "a", content: "1" }),
      expect.objectContaining({ path: "b", content: "22" }),
    ]);
  });
});

function read(chunks: Iterable<Buffer>): readonly object[] {
  const entries: { path: string; content: string; ended: boolean }[] = [];
  const reader = createTarReader(
    {
      begin: (entry) =>
        entries.push({
          ...entry,
          xattrs: entry.xattrs.map(({ name, value }) => `${name}=${value.toString("hex")}`),
          content: "",
          ended: false,
        } as never),
      content: (bytes) => {
        const last = entries.at(-1);
        if (last) last.content += bytes.toString("latin1");
      },
      hole: (length) => {
        const last = entries.at(-1);
        if (last) last.content += "\0".repeat(length);
      },
      end: () => {
        const last = entries.at(-1);
        if (last) last.ended = true;
      },
    },
    DEFAULT_LAYER_LIMITS,
  );
  for (const chunk of chunks) reader.push(chunk);
  reader.finish();
  expect(entries.every(({ ended }) => ended)).toBe(true);
  return entries;
}

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let start = 0, index = 0; start < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(start, start + size);
    start += size;
  }
}
