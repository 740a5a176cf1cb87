import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawEntry, rawTar } from "../support/raw-tar.ts";

const MIB = 1024 * 1024;

/** A file that says where its pieces lie by the records of version 0.1. */
const mapped = (map: string, size: number | string, body: string): RawEntry => ({
  name: "f",
  body,
  pax: [
    ["GNU.sparse.size", String(size)],
    ["GNU.sparse.numblocks", "1"],
    ["GNU.sparse.map", map],
  ],
});
const versionOne = (lines: string, size: number, data: string): RawEntry => ({
  name: "GNUSparseFile.0/f",
  body: Buffer.concat([Buffer.from(lines), Buffer.alloc(512 - lines.length), Buffer.from(data)]),
  pax: [
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", "f"],
    ["GNU.sparse.realsize", String(size)],
  ],
});

describe("sparse files", () => {
  test.for(["gnu", "0.0", "0.1", "1.0"])(
    "T29 of GNU tar, format %s, come out with all their zeros, which take no room",
    async (version) => {
      await using folder = await tempDir();
      const source = join(folder.path, "holes");
      const script = `
        truncate -s 20M "$1"
        for at in 1 3 5 7 9 11 13 15; do echo piece $at | dd of="$1" bs=1M seek=$at conv=notrunc status=none; done
        truncate -s 21M "$1"`;
      execFileSync("sh", ["-c", script, "sh", source]);
      const format =
        version === "gnu" ? ["--format=gnu"] : ["--format=pax", `--sparse-version=${version}`];
      const archive = execFileSync(
        "tar",
        ["-c", "-S", ...format, "--numeric-owner", "-C", folder.path, "holes"],
        { maxBuffer: 64 * MIB },
      );
      expect(archive.length).toBeLessThan(MIB);
      await using bench = await openLayerBench();
      const { diffDir, tree } = await bench.unpackPacked(archive);
      expect(Object.keys(tree)).toEqual(["", "holes"]);
      expect(readFileSync(join(diffDir, "holes")).equals(readFileSync(source))).toBe(true);
      expect(statSync(join(diffDir, "holes")).blocks).toBeLessThan(MIB / 512);
    },
  );

  test("T29 a map at the limits is taken: no data, a hole at the end, pieces that touch", async () => {
    await using bench = await openLayerBench();
    for (const [entry, content] of [
      [mapped("0,0", 5, ""), "\0\0\0\0\0"],
      [mapped("1,2,3,1", 6, "abc"), "\0abc\0\0"],
      [versionOne("2\n0\n1\n2\n1\n", 3, "ab"), "a\0b"],
    ] as const) {
      const { diffDir } = await bench.unpackPacked(rawTar(entry, { name: "after" }));
      expect(readFileSync(join(diffDir, "f"), "latin1")).toBe(content);
    }
  });

  test.for<[string, RawEntry]>([
    ["pieces that overlap", mapped("0,3,2,3", 9, "abcdef")],
    ["pieces out of order", mapped("4,1,0,1", 9, "ab")],
    ["a piece past the end", mapped("8,3", 9, "abc")],
    ["a hole of 2^60 behind the end", mapped(`${2 ** 60},1`, 9, "a")],
    ["a negative offset", mapped("-1,1", 9, "a")],
    ["a length that is no number", mapped("0,x", 9, "a")],
    ["an offset without a length", mapped("0,1,2", 9, "a")],
    ["more data than the map says", mapped("0,1", 9, "abc")],
    ["less data than the map says", mapped("0,3", 9, "a")],
    ["a size that is no number", mapped("0,1", "x", "a")],
    ["a version that there is not", { ...mapped("0,1", 9, "a"), pax: [["GNU.sparse.major", "2"]] }],
    ["two maps", { ...mapped("0,1", 9, "a"), type: "S" }],
    ["a map in its body that is cut", versionOne("9\n0\n1\n", 3, "")],
    ["a map in its body that never ends", { ...versionOne("", 3, ""), body: "1".repeat(2000) }],
    ["a map of a directory", { ...mapped("", 0, ""), type: "5" }],
  ])("T29 %s are refused", async ([, entry]) => {
    await using bench = await openLayerBench();
    expect(await bench.refusalOf(rawTar(entry))).toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
  });

  test("T29 T39 holes count against the bytes of a layer", async () => {
    await using bench = await openLayerBench();
    const entry = mapped("0,1", 1000, "a");
    const two = rawTar(entry, { ...entry, name: "g" });
    await bench.unpack(two, { limits: { maxBytes: 5000 + 3072 } });
    await bench.unpack(two, { limits: { maxBytes: two.length } });
    const huge = rawTar(mapped("0,1", 2 ** 50, "a"));
    expect(await bench.refusalOf(huge)).toMatchObject({ code: "ERR_STORE_LIMIT_EXCEEDED" });
    const sum = rawTar(
      ...Array.from({ length: 20 }, (_, n) => ({
        ...entry,
        name: `n${n}`,
        ...mapped("0,1", 3000, "a"),
      })),
    );
    expect(await bench.refusalOf(sum, { limits: { maxBytes: 59_999 } })).toMatchObject({
      code: "ERR_STORE_LIMIT_EXCEEDED",
    });
    await bench.unpack(sum, { limits: { maxBytes: 60_000 } });
  });

  test("T29 a header that promises more of its map, and has none, is refused", async () => {
    await using bench = await openLayerBench();
    const header = rawEntry({ name: "f", type: "S", body: "a" });
    header.write("1", 482, "latin1");
    const cut = Buffer.concat([header.subarray(0, 512)]);
    expect(await bench.refusalOf(cut)).toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
  });
});
