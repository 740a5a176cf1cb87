/**
 * Random and damaged bytes for everything that reads what a stranger wrote.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { decompress, detectCompression } from "../../src/layer/decompress.ts";
import { DEFAULT_LAYER_LIMITS } from "../../src/layer/layer-limits.ts";
import { checkGlobalPaxRecords, parsePaxRecords } from "../../src/layer/pax-header.ts";
import { isXattrAllowed } from "../../src/layer/layer-xattr.ts";
import { cleanPath } from "../../src/layer/safe-path.ts";
import { createTarReader } from "../../src/layer/tar-reader.ts";
import { generateArchive, type Random, randomFrom } from "./archive-grammar.ts";
import { rawTar, type RawEntry } from "./raw-tar.ts";

const LIMITS = { ...DEFAULT_LAYER_LIMITS, maxBytes: 2 ** 22, maxEntries: 5000 };
const SPARSE: readonly RawEntry[] = [
  {
    name: "f",
    body: "abc",
    pax: [
      ["GNU.sparse.size", "6"],
      ["GNU.sparse.map", "1,2,3,1"],
    ],
  },
  {
    name: "GNUSparseFile.0/f",
    body: Buffer.concat([Buffer.from("2\n0\n1\n2\n1\n"), Buffer.alloc(502), Buffer.from("ab")]),
    pax: [
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.realsize", "3"],
    ],
  },
  { name: "s", type: "S", body: "x" },
];

/** A case that broke a promise, to be read and to be run again. */
export interface Breach {
  readonly seed: number;
  readonly input: string;
  readonly error: string;
}

/** Runs one case; answers what was wrong with it. Each ends, or throws an error with a name. */
export async function fuzzOnce(seed: number): Promise<Breach | undefined> {
  const random = randomFrom(seed);
  const input = makeInput(random, seed);
  try {
    await read(random, input);
  } catch (error) {
    const isNamed = error instanceof Error && error.name === "StoreError";
    if (!isNamed) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { seed, input: input.toString("base64").slice(0, 4000), error: text };
    }
  }
  return undefined;
}

function makeInput(random: Random, seed: number): Buffer {
  const kind = random.below(5);
  if (kind === 0) return randomBytes(random.below(2048));
  const archive = random.chance(0.2)
    ? rawTar(random.pick(SPARSE as [RawEntry]))
    : generateArchive(seed).bytes;
  const packed = kind < 3 ? archive : kind === 3 ? gzipSync(archive) : zstdCompressSync(archive);
  const copy = Buffer.from(packed);
  for (let left = random.below(6); left > 0 && copy.length > 0; left -= 1) {
    const at = random.chance(0.5)
      ? random.below(Math.min(copy.length, 600))
      : random.below(copy.length);
    copy[at] = random.pick([0, 0x20, 0x30, 0x39, 0x7f, 0x80, 0xff, random.below(256)]);
  }
  if (kind < 3) fixChecksums(random, copy);
  return random.chance(0.2) ? copy.subarray(0, random.below(copy.length + 1)) : copy;
}

/** Without it, most damage would not be seen by what is behind the checksum. */
function fixChecksums(random: Random, archive: Buffer): void {
  if (random.chance(0.2)) return;
  for (let start = 0; start + 512 <= archive.length; start += 512) {
    const block = archive.subarray(start, start + 512);
    if (block.toString("latin1", 257, 262) !== "ustar") continue;
    block.fill(" ", 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  }
}

async function read(random: Random, input: Buffer): Promise<void> {
  if (random.chance(0.1)) {
    parsePaxRecords(input, LIMITS);
    checkGlobalPaxRecords(input);
    return;
  }
  let open = 0;
  let bytes = 0;
  const reader = createTarReader(
    {
      begin(entry) {
        if (open !== 0) throw new Error("an entry in an entry");
        open += 1;
        bytes = entry.size;
        cleanPath(entry.path, LIMITS);
        cleanPath(entry.linkPath, LIMITS);
        entry.xattrs.filter(isXattrAllowed);
      },
      content: (content) => void (bytes -= content.length),
      hole: (length) => void (bytes -= length),
      end() {
        open -= 1;
        if (open !== 0 || bytes !== 0) throw new Error("an entry that ended without its content");
      },
    },
    LIMITS,
  );
  const size = random.pick([input.length < 2000 ? 3 : 300, 512, 100_000, 100_000]);
  const chunks = Array.from({ length: Math.ceil(input.length / size) }, (_, n) =>
    input.subarray(n * size, (n + 1) * size),
  );
  let unpacked = 0;
  for await (const chunk of decompress(chunks, detectCompression(input), 1000)) {
    unpacked += chunk.length;
    if (unpacked > LIMITS.maxBytes) return;
    reader.push(chunk);
  }
  reader.finish();
}
