/**
 * How fast layers are unpacked: `speed:unpack [ROUNDS]` prints, for each kind of archive, the best
 * and the median of so many rounds, in wall time and in processor time of all threads. The best
 * place for its files is in memory: set TMPDIR.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { tempDir } from "@stowage/testkit";

import { unpackLayer } from "../../src/layer/unpack-layer.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const MIB = 1024 * 1024;

const small = rawTar(
  ...Array.from({ length: 20_000 }, (_, index): RawEntry[] => {
    const directory = `usr/share/d${Math.floor(index / 20)}`;
    const file = { name: `${directory}/file-${index}`, body: "x".repeat(900) };
    return index % 20 === 0 ? [{ name: `${directory}/`, type: "5" }, file] : [file];
  }).flat(),
);
const large = rawTar(
  ...Array.from({ length: 8 }, (_, index) => ({ name: `f${index}`, body: randomBytes(16 * MIB) })),
);

await measure("20,000 small files, plain", small);
await measure("20,000 small files, gzip", gzipSync(small));
await measure("128 MiB in 8 files, plain", large);
await measure("128 MiB in 8 files, zstd", zstdCompressSync(large));

async function measure(name: string, blob: Buffer): Promise<void> {
  const wall: number[] = [];
  const processor: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await using folder = await tempDir();
    const [blobPath, diffDir] = [join(folder.path, "blob"), join(folder.path, "diff")];
    writeFileSync(blobPath, blob);
    mkdirSync(diffDir);
    const [start, before] = [performance.now(), process.cpuUsage()];
    await unpackLayer({ blob: blobPath, diffDir });
    const { user, system } = process.cpuUsage(before);
    wall.push(performance.now() - start);
    processor.push((user + system) / 1000);
  }
  const shown = [wall, processor].map((times) => {
    const [best = 0, ...rest] = times.toSorted((a, b) => a - b);
    const median = [best, ...rest][Math.floor(times.length / 2)] ?? 0;
    return `best ${best.toFixed(0)}, median ${median.toFixed(0)} ms`;
  });
  process.stdout.write(`${name}: wall ${shown[0]}; processor ${shown[1]}\n`);
}
