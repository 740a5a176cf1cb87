import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { type Digest, digestOf } from "@stowage/content";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { createGrowth, GrowthWriter } from "../src/layer/growing-file.ts";
import { unpackLayer, type UnpackedLayer } from "../src/layer/unpack-layer.ts";
import { rawTar } from "./support/raw-tar.ts";

const BODY = Array.from({ length: 90_000 }, (_, n) => `${n * n} `).join("");
const ARCHIVE = rawTar({ name: "a", body: BODY }, { name: "b/c", body: "x" });
const GZIP = gzipSync(ARCHIVE);

describe("a blob that is still coming", () => {
  test.for([
    ["gzip", GZIP],
    ["zstd", zstdCompressSync(ARCHIVE)],
    ["a plain archive", ARCHIVE],
    ["nothing at all", Buffer.alloc(0)],
  ] as const)("is unpacked as it comes: %s", async ([, blob]) => {
    await using growing = await openGrowing();
    for (let at = 0; at < blob.length; at += 10_000)
      await growing.append(blob.subarray(at, at + 10_000));
    growing.writer.end();
    const { diffID, diffSize } = await growing.unpacked;
    const archive = blob.length === 0 ? blob : ARCHIVE;
    expect(diffID).toBe(digestOf(archive));
    expect(diffSize).toBe(archive.length);
  });

  test("is given up with it, without a word about what is in it", async () => {
    await using growing = await openGrowing();
    await growing.append(GZIP.subarray(0, 1000));
    growing.writer.abort();
    await expect(growing.unpacked).rejects.toMatchObject({ name: "BlobGivenUpError" });
  });

  test("is given up when the signal fires while nothing comes, with its reason", async () => {
    const controller = new AbortController();
    const reason = new Error("interrupted");
    await using growing = await openGrowing(controller.signal);
    await growing.append(GZIP.subarray(0, 1000));
    controller.abort(reason);
    await expect(growing.unpacked).rejects.toBe(reason);
  });

  test("is hashed on the way: known as soon as the last byte has come", async () => {
    await using growing = await openGrowing();
    await growing.append(GZIP.subarray(0, 1000));
    await growing.append(GZIP.subarray(1000));
    expect(await growing.hashed).toBe(digestOf(GZIP));
  });

  test("is hashed by nobody once it could not be unpacked", async () => {
    await using growing = await openGrowing();
    await growing.append(Buffer.alloc(2000, "no gzip, and no archive"));
    await expect(growing.unpacked).rejects.toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
    expect(await growing.hashed).toBeUndefined();
  });

  test("is refused for what is in it before the rest has come", async () => {
    await using growing = await openGrowing();
    const hostile = rawTar({ name: ".", type: "2", link: "/" }, { name: "z", body: BODY });
    await growing.append(hostile.subarray(0, 100_000));
    await expect(growing.unpacked).rejects.toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
  });
});

interface Growing extends AsyncDisposable {
  readonly writer: GrowthWriter;
  readonly unpacked: Promise<UnpackedLayer>;
  /** What its reader found it to be, if that is known before the end. */
  readonly hashed: Promise<Digest | undefined>;
  append(bytes: Buffer): Promise<void>;
}

async function openGrowing(signal?: AbortSignal): Promise<Growing> {
  const place = await tempDir("stowage-growing-");
  const fd = openSync(join(place.path, "growing"), "w+");
  const growth = createGrowth();
  const writer = new GrowthWriter(growth);
  const diffDir = join(place.path, "diff");
  mkdirSync(diffDir, 0o700);
  const { promise: hashed, resolve } = Promise.withResolvers<Digest | undefined>();
  const hashing = { begin() {}, found: resolve, end: () => resolve(undefined) };
  const blob = { fd, growth, size: GZIP.length, algorithm: "sha256", hashing } as const;
  const unpacked = unpackLayer({ blob, diffDir, signal });
  unpacked.catch(() => {});
  let length = 0;
  return {
    writer,
    unpacked,
    hashed,
    async append(bytes) {
      length += writeSync(fd, bytes);
      writer.grow(length);
    },
    async [Symbol.asyncDispose]() {
      writer.abort();
      await unpacked.catch(() => {});
      closeSync(fd);
      await place[Symbol.asyncDispose]();
    },
  };
}
