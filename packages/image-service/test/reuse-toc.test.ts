import { zstdCompressSync } from "node:zlib";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { noise } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { MAX_TAIL, readToc } from "../src/reuse/blob-toc.ts";
import { segmentBlob } from "../src/reuse/blob-segments.ts";
import { tocEntries, TocError } from "../src/reuse/toc-entries.ts";
import { type Files, makeStargz, makeZstdChunked } from "./support/chunked-layer.ts";

const FILES: Files = { a: noise("a", 90_000), b: noise("b", 5000), c: noise("c", 700) };

describe("the table of contents of a blob", () => {
  test("tells its pieces without gaps, and the same for the same content", async () => {
    for (const make of [makeZstdChunked, makeStargz]) {
      const layer = make(FILES);
      const { segments } = await read(layer);
      let position = 0;
      for (const { offset, end } of segments) {
        expect(offset).toBe(position);
        position = end;
      }
      const other = make({ z: noise("z", 10), ...FILES });
      const known = new Map((await read(other)).segments.map((it) => [it.content, it]));
      // All but the first header, which stands behind another file now.
      for (const { content, offset, end } of segments.slice(1)) {
        const same = known.get(content);
        const found = other.bytes.subarray(same?.offset, same?.end);
        expect(found.equals(layer.bytes.subarray(offset, end))).toBe(true);
      }
    }
  });

  test("is not asked for where a blob has no footer of one", async () => {
    const { descriptor, bytes } = makeStargz(FILES);
    const broken = Buffer.from(bytes);
    broken.write("NOTGZX", broken.length - 51 + 32);
    await expect(read({ descriptor, bytes: broken })).rejects.toThrow(TocError);
  });

  test("is refused where the blob ends before it should", async () => {
    const { descriptor, bytes } = makeZstdChunked(FILES);
    const cut = { descriptor, bytes: bytes.subarray(0, -1) };
    await expect(read(cut)).rejects.toThrow("cut off");
  });

  test.each([
    [0, "cut off"],
    [1, `more than ${MAX_TAIL} bytes`],
  ])("of %s bytes more than the most is not read any more", async (more, message) => {
    const size = 100 + MAX_TAIL + more;
    const layer = descriptorOf(size, "100:10:10:1");
    await expect(readToc(layer, async () => Buffer.alloc(0))).rejects.toThrow(message);
  });

  test.each([
    [64 * 1024 * 1024, "annotation"],
    [64 * 1024 * 1024 + 1, "unpacked"],
  ])("that says it has %s bytes unpacked", async (unpacked, message) => {
    const layer = descriptorOf(200, `100:10:${unpacked}:1`);
    await expect(readToc(layer, async () => Buffer.alloc(100))).rejects.toThrow(message);
  });

  test("is not unpacked beyond what it says", async () => {
    const packed = zstdCompressSync(Buffer.alloc(32 * 1024 * 1024));
    const layer = descriptorOf(
      100 + packed.length,
      `100:${packed.length}:1000:1`,
      digestOf(packed),
    );
    const reading = readToc(layer, async () => packed);
    await expect(reading).rejects.toMatchObject({ cause: { code: "ERR_BUFFER_TOO_LARGE" } });
  });
});

describe("its entries", () => {
  test("are read wherever they stand, whatever stands in them", () => {
    const entry = { name: 'a "b\\" ]}', xattrs: { a: ["}", { b: "]" }] } };
    const document = { "x]": [{ entries: [1] }], version: 1, entries: [entry, {}], more: 1 };
    expect([...tocEntries(json(document))]).toEqual([entry, {}]);
    expect([...tocEntries(Buffer.from(' {\n"entries" : [ {} ,\t{} ] }'))]).toEqual([{}, {}]);
  });

  test("are no more than the most", () => {
    const entries = [{}, {}, {}];
    expect([...tocEntries(json({ entries }), { maxEntries: 3 })]).toHaveLength(3);
    expect(() => [...tocEntries(json({ entries }), { maxEntries: 2 })]).toThrow(
      "more than 2 entries",
    );
  });

  test("come after no value that is longer than 64 KiB", () => {
    const at = (length: number): Buffer => json({ before: "a".repeat(length - 2), entries: [{}] });
    expect([...tocEntries(at(65_536))]).toEqual([{}]);
    expect(() => [...tocEntries(at(65_537))]).toThrow(TocError);
  });

  test("are each no longer than the most", () => {
    const entry = { name: "a".repeat(89) };
    const bytes = json({ entries: [entry] });
    expect([...tocEntries(bytes, { maxEntryBytes: 100 })]).toEqual([entry]);
    expect(() => [...tocEntries(bytes, { maxEntryBytes: 99 })]).toThrow("of more than 99 bytes");
  });

  test.each([
    "",
    "[]",
    "{}",
    "{",
    '{"entries"',
    '{"entries":',
    '{"entries":{}}',
    '{"entries":[',
    '{"entries":[1]}',
    '{"entries":[[]]}',
    '{"entries":[{}',
    '{"entries":[{} {}]}',
    '{"entries":[{"a":}]}',
    '{"entries":[{"a":"]}',
    '{"entries":[{a:1}]}',
    '{"entries":[,]}',
    '{"a":"\\',
    "[".repeat(100_000),
    `{"a":${"[".repeat(100_000)}`,
  ])("are refused where they are none: %.20s", (text) => {
    expect(() => [...tocEntries(Buffer.from(text))]).toThrow(TocError);
  });

  test("with a hundred thousand levels are no deeper than a parser goes, or refused", () => {
    const deep = `{"entries":[{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}]}`;
    expect([...tocEntries(Buffer.from(deep))]).toHaveLength(1);
  });
});

describe("its pieces", () => {
  const reg = { type: "reg", name: "a", size: 10, digest: digestOf(Buffer.alloc(10)) };

  test("reach to the end of the data, and not beyond it", async () => {
    const entries = [{ ...reg, offset: 5, endOffset: 20 }];
    const rules = { dataEnd: 20, isCutBehindFiles: true };
    expect((await segmentBlob(entries, rules)).at(-1)?.end).toBe(20);
    await expect(segmentBlob(entries, { ...rules, dataEnd: 19 })).rejects.toThrow(TocError);
  });

  test.each([
    { offset: 5, endOffset: 5 },
    { offset: 5, endOffset: 4 },
    { offset: 5 },
    { offset: 5.5, endOffset: 20 },
    { offset: -5, endOffset: 20 },
    { offset: 2 ** 53, endOffset: 2 ** 54 },
    { offset: "5", endOffset: 20 },
    { offset: 5, endOffset: 20, digest: 7 },
  ])("are not taken of %o", async (fields) => {
    const rules = { dataEnd: 20, isCutBehindFiles: true };
    await expect(segmentBlob([{ ...reg, ...fields }], rules)).rejects.toThrow(TocError);
  });

  test("of two files do not lie in one another", async () => {
    const rules = { dataEnd: 50, isCutBehindFiles: true };
    const first = { ...reg, offset: 5, endOffset: 20 };
    await expect(
      segmentBlob([first, { ...reg, offset: 19, endOffset: 30 }], rules),
    ).rejects.toThrow(TocError);
  });
});

function read({ descriptor, bytes }: { readonly descriptor: Descriptor; readonly bytes: Buffer }) {
  return readToc(descriptor, async (offset) => bytes.subarray(offset));
}

function descriptorOf(size: number, position: string, checksum = "sha256:0"): Descriptor {
  const prefix = "io.github.containers.zstd-chunked.manifest-";
  const annotations = { [`${prefix}position`]: position, [`${prefix}checksum`]: checksum };
  return { mediaType: MEDIA_TYPE.layerZstd, digest: digestOf(Buffer.alloc(0)), size, annotations };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
