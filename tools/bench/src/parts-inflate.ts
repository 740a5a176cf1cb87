import { spawn } from "node:child_process";
import { once } from "node:events";
import { pipeline, Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress, gunzipSync } from "node:zlib";

import { findPeer, hasPeer } from "@stowage/testkit";

import type { PartWay } from "./parts-report.ts";
import { piecesOf, type Sample } from "./parts-sample.ts";
import { type IsalModule, loadStoreModule } from "./store-internals.ts";

const PIECE_BYTES = 64 * 1024;
const KIB = 1024;
const { createInflater } = await loadStoreModule<IsalModule>("isal.ts");

/** Ways to unpack a stream; rates are of what comes out. */
export function inflateParts(sample: Sample): readonly PartWay[] {
  const { tar, gzip, zstd, gzipFile, zstdFile } = sample;
  const way = (name: string, run: PartWay["run"], missing?: string): PartWay => ({
    part: "gunzip",
    way: name,
    unit: "MB/s",
    run: async () => requireAll(await run(), tar.length),
    ...(missing !== undefined && { missing }),
  });
  const zlib = (chunkSize: number): PartWay["run"] => {
    return () => drain(gzip, createGunzip({ chunkSize }));
  };
  return [
    way("zlib stream, 16 KiB chunks", zlib(16 * KIB)),
    way("zlib stream, 64 KiB chunks", zlib(64 * KIB)),
    way("zlib stream, 256 KiB chunks", zlib(256 * KIB)),
    way("zlib stream, 1 MiB chunks", zlib(KIB * KIB)),
    way("zlib at once", async () => gunzipSync(gzip).length),
    way("libisal, 64 KiB chunks", async () => isal(gzip, 64 * KIB), missingIsal()),
    way("libisal, 1 MiB chunks", async () => isal(gzip, KIB * KIB), missingIsal()),
    way("igzip, a process", () => program("igzip", gzipFile), missingProgram("igzip")),
    way("gzip, a process", () => program("gzip", gzipFile), missingProgram("gzip")),
    ...[16 * KIB, 256 * KIB, KIB * KIB].map((chunkSize) => ({
      ...way(`zstd stream, ${chunkSize / KIB} KiB chunks`, () =>
        drain(zstd, createZstdDecompress({ chunkSize })),
      ),
      part: "unzstd",
    })),
    {
      ...way("zstd, a process", () => program("zstd", zstdFile), missingProgram("zstd")),
      part: "unzstd",
    },
  ];
}

async function drain(packed: Buffer, unpack: Transform): Promise<number> {
  // What goes wrong comes out of the loop below.
  pipeline(Readable.from(piecesOf(packed, PIECE_BYTES)), unpack, () => {});
  let bytes = 0;
  for await (const chunk of unpack as AsyncIterable<Buffer>) bytes += chunk.length;
  return bytes;
}

function isal(packed: Buffer, chunkSize: number): number {
  const inflater = createInflater();
  const output = Buffer.alloc(chunkSize);
  let bytes = 0;
  for (const piece of piecesOf(packed, PIECE_BYTES)) {
    for (let rest = piece; ;) {
      const { taken, filled, isEnd } = inflater?.inflate(rest, output) ?? { taken: 0, filled: 0 };
      bytes += filled;
      rest = rest.subarray(taken);
      if (isEnd || filled < output.length) break;
    }
  }
  return bytes;
}

async function program(name: string, file: string): Promise<number> {
  const child = spawn(findPeer(name) ?? name, ["-dc", file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  let bytes = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) bytes += chunk.length;
  await ended;
  return bytes;
}

function missingIsal(): string | undefined {
  return createInflater() === undefined ? "libisal.so.2" : undefined;
}

function missingProgram(name: string): string | undefined {
  return hasPeer(name) ? undefined : name;
}

function requireAll(bytes: number, expected: number): number {
  if (bytes === expected) return bytes;
  throw new Error(`${bytes} of ${expected} bytes were unpacked`);
}
