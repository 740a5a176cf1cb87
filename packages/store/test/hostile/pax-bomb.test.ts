import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { paxBody, rawEntry, type RawEntry, rawTar } from "../support/raw-tar.ts";
import { IS_ROOT, NEEDS_ROOT } from "../support/needs-root.ts";

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
    ["T24 an attribute without a name", pax(paxBody([["SCHILY.xattr.", "x"]]))],
    [
      "T24 an attribute with a name of 256",
      pax(paxBody([[`SCHILY.xattr.user.${"n".repeat(251)}`, "x"]])),
    ],
    ["T29 a sparse file, GNU", rawTar({ ...file, type: "S" })],
    ["T29 a sparse file, pax", rawTar({ ...file, pax: [["GNU.sparse.major", "1"]] })],
    ["T30 a negative size", rawTar({ ...file, size: Buffer.alloc(12, 0xff) })],
    [
      "T30 a size over 2^53",
      rawTar({ ...file, size: Buffer.from("800000000100000000000000", "hex") }),
    ],
    ["T30 a size with garbage", rawTar({ ...file, size: Buffer.from("0000000x007\0") })],
    ["T30 a size of NUL bytes", rawTar({ ...file, size: Buffer.alloc(12) })],
    ["T30 a size of spaces", rawTar({ ...file, size: Buffer.alloc(12, " ") })],
    ["T19 an owner of 2^32 - 1", rawTar({ ...file, uid: 2 ** 32 - 1 })],
    ["T19 a negative owner", rawTar({ ...file, pax: [["uid", "-1"]] })],
    ["T19 an owner that is no number", rawTar({ ...file, gid: Buffer.from("zz00000\0") })],
    ["T18 a negative mode", rawTar({ ...file, mode: Buffer.alloc(8, 0xff) })],
    ["T31 a wrong checksum", rawTar({ ...file, checksum: Buffer.from("000001\0 ") })],
    ["T32 content that is cut", rawEntry({ ...file, body: "x".repeat(600) }).subarray(0, 700)],
    ["T32 a header that is cut", rawEntry(file).subarray(0, 300)],
    ["T32 an entry after one block of zeros", Buffer.concat([Buffer.alloc(512), rawTar(file)])],
    ["T47 a page", Buffer.from(`<html>${"404 not found ".repeat(60)}</html>`)],
    ["T47 a program", Buffer.concat([Buffer.from("\x7fELF"), Buffer.alloc(1000, 7)])],
    ...[..."AVMDNXEZ\x80"].map((type): [string, Buffer] => [
      `T33 type ${type}`,
      rawTar({ ...file, type }),
    ]),
  ])("%s is refused", async ([name, blob]) => {
    await using bench = openLayerBench();
    const bytes = name.includes("two extended headers")
      ? rawTar(
          { type: "x", body: paxBody([["a", "b"]]) },
          { type: "x", body: paxBody([["a", "b"]]) },
          file,
        )
      : blob;
    await expect(bench.unpack(bytes)).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_LAYER",
      kind: "LayerInvalid",
    });
    bench.assertUntouched();
  });

  test.skipIf(!IS_ROOT)(
    `T33 T34 T35 the forms that have a meaning are taken${NEEDS_ROOT}`,
    async () => {
      await using bench = openLayerBench();
      const { tree } = await bench.unpack(
        rawTar(
          { name: "contiguous", type: "7", body: "7" },
          { name: "old", type: "\0", magic: "\0\0\0\0\0\0\0\0", body: "old" },
          { name: "old-dir/", type: "\0", magic: "\0\0\0\0\0\0\0\0" },
          { name: "slash/", type: "0", body: "file" },
          { name: "dir-with-body", type: "5", body: "skipped" },
          { name: "link-with-body", type: "2", link: "x", body: "skipped" },
          { name: "gnu", magic: "ustar  \0", body: "gnu" },
          { name: "git", type: "g", body: paxBody([["comment", "0123"]]) },
          { name: "short", body: "long", size: 0, pax: [["size", "4"]] },
          { name: "last", body: "last" },
        ),
      );
      expect(Object.keys(tree)).toEqual([
        "",
        "contiguous",
        "dir-with-body",
        "gnu",
        "last",
        "link-with-body",
        "old",
        "old-dir",
        "short",
        "slash",
      ]);
      expect(tree["last"]).toContain("size 4");
      expect(tree["short"]).toContain("size 4");
    },
  );

  test("V49 a size in an extended header is that of the entry, not of a long name before it", async () => {
    await using bench = openLayerBench();
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
    await using bench = openLayerBench();
    const three = rawTar({ name: "a" }, { name: "b" }, { name: "c" });
    await expect(bench.unpack(three, { limits: { maxEntries: 2 } })).rejects.toMatchObject({
      code: "ERR_STORE_LIMIT_EXCEEDED",
    });
    const { entries } = await bench.unpack(three, { limits: { maxEntries: 3 } });
    expect(entries).toBe(3);
  });

  test("T24 attributes at the limit are read", async () => {
    await using bench = openLayerBench();
    const { tree } = await bench.unpack(attributes(64, 1));
    expect(tree["f"]?.match(/user\.n/g)).toHaveLength(64);
  });
});

function attributes(count: number, bytes: number): Buffer {
  const records = Array.from(
    { length: count },
    (_, index) => [`SCHILY.xattr.user.n${index}`, "v".repeat(bytes)] as const,
  );
  return rawTar({ ...file, pax: records });
}
