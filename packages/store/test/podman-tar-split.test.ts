import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { createLayerApplier } from "../src/layer/apply-layer.ts";
import { DEFAULT_LAYER_LIMITS } from "../src/layer/layer-limits.ts";
import { createTarReader } from "../src/layer/tar-reader.ts";
import { removeTree } from "../src/linux/tree.ts";
import { Crc64 } from "../src/podman/crc64.ts";
import { openLayerFiles } from "../src/layer/layer-files.ts";
import { TarSplitter, type TarSplitLine } from "../src/podman/tar-split.ts";
import { generateArchive } from "./support/archive-grammar.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { type RawEntry, rawTar } from "./support/raw-tar.ts";

describe("CRC-64/ISO", () => {
  test("has the check value of its catalogue, however the bytes come", () => {
    for (const size of [1, 4, 9]) {
      const checksum = new Crc64();
      const bytes = Buffer.from("123456789");
      for (let at = 0; at < bytes.length; at += size)
        checksum.update(bytes.subarray(at, at + size));
      expect(checksum.digest().toString("hex")).toBe("b90956c775a41001");
    }
  });

  test("takes eight bytes at once as it takes each alone", () => {
    const bytes = createHash("sha512").update("seed").digest();
    const [whole, single] = [new Crc64(), new Crc64()];
    whole.update(bytes);
    for (let at = 0; at < bytes.length; at += 1) single.update(bytes.subarray(at, at + 1));
    expect(whole.digest()).toEqual(single.digest());
  });
});

describe("tar-split", () => {
  test.each<{ readonly what: string; readonly entry: RawEntry }>([
    { what: "plain file", entry: { name: "a", body: "content" } },
    { what: "file under a name with dots", entry: { name: "./x/../a", body: "content" } },
  ])("names a $what, and keeps its content out", async ({ entry }) => {
    const { lines, joined, archive } = await splitOf(rawTar(entry));
    expect(lines.filter(({ type }) => type === 1)).toMatchObject([{ size: 7 }]);
    expect(joined).toEqual(archive);
  });

  test.each<{ readonly what: string; readonly entries: readonly RawEntry[] }>([
    {
      what: "replaced",
      entries: [
        { name: "a", body: "first!!" },
        { name: "a", body: "content" },
      ],
    },
    { what: "empty later", entries: [{ name: "a", body: "content" }, { name: "a" }] },
    { what: "a whiteout", entries: [{ name: ".wh.a", body: "content" }] },
    {
      what: "reached through a link",
      entries: [
        { name: "d", type: "5" },
        { name: "l", type: "2", link: "d" },
        { name: "l/a", body: "content" },
      ],
    },
  ])("keeps the content of a file that is $what", async ({ entries }) => {
    const { joined, archive } = await splitOf(rawTar(...entries));
    expect(joined).toEqual(archive);
  });

  test("keeps what is not on disk as it is in the archive, and never follows a link out", async () => {
    const secret = await splitOf(rawTar({ name: "a", body: "content" }), (diff) => {
      writeFileSync(`${diff}-secret`, "content");
      rmSync(join(diff, "a"));
      symlinkSync(`${diff}-secret`, join(diff, "a"));
    });
    expect(secret.lines.filter(({ type }) => type === 1)).toEqual([]);
    expect(secret.joined).toEqual(secret.archive);
    const changed = await splitOf(rawTar({ name: "a", body: "x".repeat(200_000) }), (diff) =>
      writeFileSync(join(diff, "a"), `${"x".repeat(199_999)}y`),
    );
    expect(changed.lines.filter(({ type }) => type === 1)).toEqual([]);
    expect(changed.joined).toEqual(changed.archive);
  });

  test.skipIf(!IS_ROOT)(
    `generated archives come out as they went in, in pieces of any size${NEEDS_ROOT}`,
    async () => {
      let split = 0;
      for (let seed = 1; seed <= 80; seed += 1) {
        const { bytes } = generateArchive(seed);
        const made = await splitOf(bytes, undefined, 512 + (seed % 7) * 100 + (seed % 2)).catch(
          (error: unknown) => {
            if (error instanceof Error && error.name === "StoreError") return undefined;
            throw error;
          },
        );
        if (made === undefined) continue;
        split += 1;
        expect(made.joined.equals(made.archive), `seed ${seed}`).toBe(true);
        const names = made.lines.filter(({ type }) => type === 1).map(({ name }) => cleaned(name));
        expect(new Set(names).size, `seed ${seed}`).toBe(names.length);
        expect(made.lines.map(({ position }) => position)).toEqual(made.lines.map((_, at) => at));
      }
      expect(split).toBeGreaterThan(40);
    },
  );
});

/** Readers refuse two entries whose names are the same once they are cleaned. */
function cleaned(name: string | undefined): string {
  return join("/", name ?? "");
}

async function splitOf(
  archive: Buffer,
  change: (diff: string) => void = () => {},
  pieceBytes = archive.length,
): Promise<{
  readonly lines: readonly TarSplitLine[];
  readonly joined: Buffer;
  readonly archive: Buffer;
}> {
  await using folder = await tempDir();
  const diff = join(folder.path, "diff");
  mkdirSync(diff);
  {
    using applier = createLayerApplier(diff, DEFAULT_LAYER_LIMITS);
    const reader = createTarReader(applier, DEFAULT_LAYER_LIMITS);
    reader.push(archive);
    reader.finish();
    applier.finish();
  }
  change(diff);
  using files = openLayerFiles(diff);
  using splitter = new TarSplitter(files, DEFAULT_LAYER_LIMITS);
  let text = "";
  for (let at = 0; at < archive.length; at += pieceBytes) {
    splitter.push(archive.subarray(at, at + pieceBytes));
    text += splitter.take();
  }
  splitter.finish();
  text += splitter.take();
  const lines = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TarSplitLine);
  const joined = Buffer.concat(lines.map((line) => contentOf(diff, line)));
  await removeTree(diff);
  return { lines, joined, archive };
}

/** As podman does: by the cleaned path, whatever is there. */
function contentOf(diff: string, { type, size = 0, payload, ...named }: TarSplitLine): Buffer {
  if (type === 2) return Buffer.from(payload ?? "", "base64");
  if (size === 0) return Buffer.alloc(0);
  const name = Buffer.from(
    named.name ?? named.name_raw ?? "",
    named.name === undefined ? "base64" : "utf8",
  );
  const content = readFileSync(Buffer.from(join(diff, name.toString("latin1")), "latin1"));
  expect(content).toHaveLength(size);
  const checksum = new Crc64();
  checksum.update(content);
  expect(checksum.digest().toString("base64")).toBe(payload);
  return content;
}
