import { existsSync, mkdirSync, mkdtempSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { unpackLayer } from "../../src/layer/unpack-layer.ts";
import { removeTree } from "../../src/linux/tree.ts";
import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawEntry, rawTar } from "../support/raw-tar.ts";

/** What the kernel calls ext4, and those before it. */
const EXT4 = 0xef53;
const MEMORY = "/dev/shm";
const times = (count: number, make: (index: number) => RawEntry): Buffer[] =>
  Array.from({ length: count }, (_, index) => rawEntry(make(index)));

describe("archives of many entries", () => {
  test("V31 opaque marks among many files take no longer than as many files", async () => {
    const files = times(4000, (n) => ({ name: `d/f${n}` }));
    const plain = Buffer.concat([...files, ...times(2000, (n) => ({ name: `d/g${n}` }))]);
    const marked = Buffer.concat([...files, ...times(2000, () => ({ name: "d/.wh..wh..opq" }))]);
    await unpackTime(plain);
    const [one, other] = [await unpackTime(plain), await unpackTime(marked)];
    expect(other).toBeLessThan(3 * one + 200);
  }, 300_000);

  test("T38 one name 20,000 times is one file, in time that grows as their number does", async () => {
    await using bench = await openLayerBench();
    const archive = (count: number): Buffer =>
      Buffer.concat([
        ...times(count, (n) => ({ name: "d/same", body: String(n) })),
        ...times(count / 20, (n) => ({ name: `d/e${n}/f` })),
      ]);
    const { tree, entries } = await bench.unpack(archive(20_000));
    expect(entries).toBe(21_000);
    expect(tree["d/same"]).toContain("size 5");
    const [few, many] = [await unpackTime(archive(2000)), await unpackTime(archive(8000))];
    // Four times as many; sixteen times as long, if it were their number squared.
    expect(many).toBeLessThan(8 * few + 200);
  }, 300_000);

  test("T38 D15 more names than the file system gives a file are refused, and can be removed", async () => {
    const links = times(65_010, (n) => ({ name: `${n % 100}/l${n}`, type: "1", link: "f" }));
    const archive = Buffer.concat([rawEntry({ name: "f" }), ...links]);
    const outcome = await unpackOnly(archive);
    const isExt4 = statfsSync(tmpdir()).type === EXT4;
    // Other file systems give more.
    expect(outcome.code).toBe(isExt4 ? "ERR_STORE_INVALID_LAYER" : undefined);
  }, 300_000);

  test("T41 a full directory that something else replaces goes with all that is in it, and nothing else", async () => {
    await using bench = await openLayerBench();
    const full: RawEntry[] = [
      { name: "d", type: "5" },
      { name: "d/out", type: "2", link: bench.canary },
      { name: "d/out-there", type: "2", link: "../../canary" },
      ...Array.from({ length: 50 }, (_, n): RawEntry => ({ name: `d/a/b/c/${n}`, mode: 0 })),
      { name: "d/a", type: "5", mode: 0 },
      { name: "kept", body: "kept" },
      { name: "d/kept", type: "1", link: "kept" },
    ];
    for (const type of ["0", "1", "2", "3", "6"]) {
      const { tree } = await bench.unpack(
        rawTar(...full, { name: "d", type, link: "kept", major: 1, body: "" }),
      );
      expect(Object.keys(tree)).toEqual(["", "d", "kept"]);
      expect(tree["kept"]).toContain(type === "1" ? "links 2" : "links 1");
    }
  });
});

/**
 * Milliseconds of processor time, which other work on the machine has no part in; in memory where that
 * can be, since ext4 looks again at each inode that was given up within the last half minute.
 */
async function unpackTime(archive: Buffer): Promise<number> {
  const place = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "stowage-entries-"));
  try {
    const start = process.cpuUsage();
    await unpackIn(place, archive);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  } finally {
    await removeTree(place);
  }
}

async function unpackOnly(archive: Buffer): Promise<{ readonly code?: unknown }> {
  await using folder = await tempDir();
  return await unpackIn(folder.path, archive);
}

async function unpackIn(place: string, archive: Buffer): Promise<{ readonly code?: unknown }> {
  const [blobPath, diffDir] = [join(place, "blob"), join(place, "diff")];
  writeFileSync(blobPath, archive);
  mkdirSync(diffDir);
  try {
    await unpackLayer({ blob: blobPath, diffDir });
    return {};
  } catch (error) {
    return { code: (error as { code?: unknown }).code };
  } finally {
    await removeTree(diffDir);
  }
}
