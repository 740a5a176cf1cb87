import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { paxBody, rawEntry, type RawEntry, rawTar } from "../support/raw-tar.ts";

const MIB = 1024 * 1024;
const file: RawEntry = { name: "f", body: "content" };
const pax = (body: string | Buffer): Buffer => rawTar({ name: "p", type: "x", body }, file);

describe("archives that lie", () => {
  test.for<[string, Buffer]>([
    ["T27 a length that is no number", pax("xx path=a\n")],
    ["T27 a length of 0", pax("0 path=a\n")],
    ["T27 a length past the end", pax("99 path=a\n")],
    ["T27 a length of 30 digits", pax(`${"9".repeat(30)} path=a\n`)],
    ["T27 no newline", pax("9 path=ab")],
    ["T27 no =", pax("8 patha\n")],
    ["T27 no key", pax("5 =a\n")],
    ["T27 a key with NUL", pax("10 pa\0th=a\n")],
    ["T27 a record of more than 1 MiB", pax(paxBody([["comment", "c".repeat(MIB)]]))],
    [
      "T27 100,000 records",
      pax(paxBody(Array.from({ length: 100_000 }, () => ["a", "b"] as const))),
    ],
    ["T28 two extended headers", pax(Buffer.from(""))],
    [
      "T28 path twice",
      pax(
        paxBody([
          ["path", "a"],
          ["path", "b"],
        ]),
      ),
    ],
    ["T28 a global size", rawTar({ type: "g", body: paxBody([["size", "1"]]) }, file)],
    [
      "T28 path and long name",
      rawTar(
        { ...file, type: "x", body: paxBody([["path", "a"]]) },
        { type: "L", body: "b\0" },
        file,
      ),
    ],
    ["T28 a long name without a file", rawTar({ type: "L", body: "b\0" })],
    ["T28 a long name of 1 MiB + 1", rawTar({ type: "L", body: "b".repeat(MIB + 1) }, file)],
    ["T24 65 attributes", attributes(65, 1)],
    ["T24 an attribute of 64 KiB + 1", attributes(1, 65_537)],
    ["T24 10,000 attributes", pax(paxBody(manyAttributes(10_000)))],
    ["T24 an attribute whose name has NUL", pax(paxBody([["SCHILY.xattr.user.a\0b", "x"]]))],
    [
      "T24 an attribute whose name is not UTF-8",
      pax(Buffer.from("24 SCHILY.xattr.user.\xff=x\n".replace("24", "25"), "latin1")),
    ],
    ["T24 an attribute without a name", pax(paxBody([["SCHILY.xattr.", "x"]]))],
    [
      "T24 an attribute with a name of 256",
      pax(paxBody([[`SCHILY.xattr.user.${"n".repeat(251)}`, "x"]])),
    ],
    ["T30 a negative size", rawTar({ ...file, size: Buffer.alloc(12, 0xff) })],
    [
      "T30 a size over 2^53",
      rawTar({ ...file, size: Buffer.from("800000000100000000000000", "hex") }),
    ],
    ["T30 a size with garbage", rawTar({ ...file, size: Buffer.from("0000000x007\0") })],
    ["T30 a size of NUL bytes", rawTar({ ...file, size: Buffer.alloc(12) })],
    ["T30 a size of spaces", rawTar({ ...file, size: Buffer.alloc(12, " ") })],
    ["T19 an owner of 2^32 - 1", rawTar({ ...file, uid: 2 ** 32 - 1 })],
    ["T19 an owner of 2^32", rawTar({ ...file, gid: 2 ** 32 })],
    ["T19 an owner of 2^63", rawTar({ ...file, pax: [["gid", String(2n ** 63n)]] })],
    ["T28 a global path", rawTar({ type: "g", body: paxBody([["path", "p"]]) }, file)],
    ["T28 a global linkpath", rawTar({ type: "g", body: paxBody([["linkpath", "p"]]) }, file)],
    ["T28 a long link name without a file", rawTar({ type: "K", body: "b\0" })],
    ["T19 a negative owner", rawTar({ ...file, pax: [["uid", "-1"]] })],
    ["T19 an owner that is no number", rawTar({ ...file, gid: Buffer.from("zz00000\0") })],
    ["T18 a negative mode", rawTar({ ...file, mode: Buffer.alloc(8, 0xff) })],
    ["T31 a wrong checksum", rawTar({ ...file, checksum: Buffer.from("000001\0 ") })],
    ["T32 content that is cut", rawEntry({ ...file, body: "x".repeat(600) }).subarray(0, 700)],
    ["T32 a header that is cut", rawEntry(file).subarray(0, 300)],
    ["T32 an entry after one block of zeros", Buffer.concat([Buffer.alloc(512), rawTar(file)])],
    ["T47 a page", Buffer.from(`<html>${"404 not found ".repeat(60)}</html>`)],
    ["T47 a program", Buffer.concat([Buffer.from("\x7fELF"), Buffer.alloc(1000, 7)])],
    ...[..."ABCDEFGHIJMNOPQRTUVWXYZ8\x80"].map((type): [string, Buffer] => [
      `T33 type ${type}`,
      rawTar({ ...file, type }),
    ]),
  ])("%s is refused", async ([name, blob]) => {
    await using bench = await openLayerBench();
    const bytes = name.includes("two extended headers")
      ? rawTar(
          { type: "x", body: paxBody([["a", "b"]]) },
          { type: "x", body: paxBody([["a", "b"]]) },
          file,
        )
      : blob;
    expect(await bench.refusalOf(bytes)).toMatchObject({
      code: "ERR_STORE_INVALID_LAYER",
      kind: "LayerInvalid",
    });
  });

  test("T31 T33 T35 the forms that have a meaning are taken", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(
      rawTar(
        { name: "contiguous", type: "7", body: "7" },
        { name: "old", type: "\0", magic: "\0\0\0\0\0\0\0\0", body: "old" },
        { name: "old-dir/", type: "\0", magic: "\0\0\0\0\0\0\0\0" },
        { name: "short", type: "\0", pax: [["path", "old-long/"]] },
        { name: "slash/", type: "0", body: "file" },
        { name: "no-slash", type: "5" },
        { name: "gnu", magic: "ustar  \0", body: "gnu" },
        { name: "git", type: "g", body: paxBody([["comment", "0123"]]) },
        { name: "short", body: "long", size: 0, pax: [["size", "4"]] },
        {
          name: Buffer.from([0x73, 0xff]),
          checksum: signedSum({ name: Buffer.from([0x73, 0xff]) }),
        },
        { name: "last", body: "last" },
      ),
    );
    expect(Object.entries(tree).map(([name, line]) => `${line.slice(0, 2)} ${name}`)).toEqual([
      "40 ",
      "10 contiguous",
      "10 gnu",
      "10 last",
      "40 no-slash",
      "10 old",
      "40 old-dir",
      "40 old-long",
      "10 short",
      "10 slash",
      "10 s\xff",
    ]);
    expect(tree["short"]).toContain("size 4");
  });

  test.for([
    ["a directory", "5"],
    ["a symbolic link", "2"],
    ["a hard link", "1"],
    ["a fifo", "6"],
  ] as const)(
    "T34 the body that %s says it has is skipped once, if it is there",
    async ([, type]) => {
      await using bench = await openLayerBench();
      const odd: RawEntry = { name: "odd", type, link: "first", size: 700 };
      const first: RawEntry = { name: "first" };
      const after: RawEntry = { name: "after", body: "after" };
      const absent = await bench.unpackPacked(rawTar(first, { ...odd, body: "" }, after));
      expect(Object.keys(absent.tree)).toEqual(["", "after", "first", "odd"]);
      const present = await bench.unpackPacked(
        rawTar(first, { ...odd, body: "b".repeat(700) }, after),
      );
      expect(present.tree).toEqual(absent.tree);
      // What looks like an entry in it is one, as for every other reader: nothing can hide there.
      const hidden = Buffer.concat([rawEntry({ name: "hidden" }), Buffer.alloc(512, "b")]);
      expect(await bench.refusalOf(rawTar(first, { ...odd, body: hidden }, after))).toMatchObject({
        code: "ERR_STORE_INVALID_LAYER",
      });
    },
  );

  test("V49 a size in an extended header is that of the entry, not of a long name before it", async () => {
    await using bench = await openLayerBench();
    const blob = Buffer.concat([
      rawEntry({ type: "x", body: paxBody([["size", "5"]]) }),
      rawEntry({ type: "L", body: "name\0" }),
      rawTar({ name: "n", body: "12345", size: 0 }, { name: "after" }),
    ]);
    const { tree } = await bench.unpack(blob);
    expect(Object.keys(tree)).toEqual(["", "after", "name"]);
    expect(tree["name"]).toContain("size 5");
  });

  test("T38 one entry over the limit is refused, and those at the limit are not", async () => {
    await using bench = await openLayerBench();
    const three = rawTar({ name: "a" }, { name: "b" }, { name: "c" });
    await expect(bench.unpack(three, { limits: { maxEntries: 2 } })).rejects.toMatchObject({
      code: "ERR_STORE_LIMIT_EXCEEDED",
    });
    const { entries } = await bench.unpack(three, { limits: { maxEntries: 3 } });
    expect(entries).toBe(3);
  });

  test("T24 attributes at the limit are read", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(attributes(64, 1));
    expect(tree["f"]?.match(/user\.n/g)).toHaveLength(64);
  });
});

/** The checksum of early writers, who added up signed characters. */
function signedSum(entry: RawEntry): Buffer {
  const header = rawEntry(entry).subarray(0, 512);
  const sum = header.reduce((total, byte, index) => {
    if (index >= 148 && index < 156) return total + 0x20;
    return total + (byte > 0x7f ? byte - 256 : byte);
  }, 0);
  return Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `);
}

function manyAttributes(count: number): readonly (readonly [string, string])[] {
  return Array.from({ length: count }, (_, index) => [`SCHILY.xattr.user.n${index}`, ""] as const);
}

function attributes(count: number, bytes: number): Buffer {
  const records = Array.from(
    { length: count },
    (_, index) => [`SCHILY.xattr.user.n${index}`, "v".repeat(bytes)] as const,
  );
  return rawTar({ ...file, pax: records });
}
