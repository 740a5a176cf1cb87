import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { makeCanaryWorld, tempDir } from "@stowage/testkit";

import {
  type UnpackedLayer,
  unpackLayer,
  type UnpackLayerOptions,
} from "../../src/layer/unpack-layer.ts";
import { removeTree } from "../../src/linux/tree.ts";
import { snapshotTree } from "./tree-snapshot.ts";

/**
 * A private directory with an outside world beside it, and layers unpacked there. Disposing of it
 * fails when anything was touched that is not in a layer's own directory.
 */
export interface LayerBench extends AsyncDisposable {
  readonly directory: string;
  /** A directory that nothing may touch; it has `file` and `directory/file`. */
  readonly canary: string;
  unpack(blob: Buffer, options?: Partial<UnpackLayerOptions>): Promise<Unpacked>;
  /** Unpacks, and does not look at what has come: somebody may still be at it. */
  unpackUnseen(blob: Buffer): Promise<void>;
  /** Unpacks an archive plain, gzipped and zstd-compressed, which has to come to one tree. */
  unpackPacked(archive: Buffer): Promise<Unpacked>;
  /** Unpacks an archive packed in each way, which has to be refused alike; answers code and kind. */
  refusalOf(archive: Buffer, options?: Partial<UnpackLayerOptions>): Promise<Refusal>;
  /** Throws when something outside of the layers is not what it was. */
  assertUntouched(): void;
}

/** A layer that has been unpacked. */
export interface Unpacked extends UnpackedLayer {
  readonly diffDir: string;
  readonly tree: Readonly<Record<string, string>>;
}

/** How a layer was refused. */
export interface Refusal {
  readonly code: string;
  readonly kind: string;
  readonly message: string;
}

/** How layers are packed. */
export const PACKINGS: readonly (readonly [string, (archive: Buffer) => Buffer])[] = [
  ["plain", (archive) => archive],
  ["gzip", (archive) => gzipSync(archive)],
  ["zstd", (archive) => zstdCompressSync(archive)],
];

/** Ways to unpack an archive that have to come to the same: how it is packed, and by how many threads. */
const WAYS: readonly (readonly [pack: (archive: Buffer) => Buffer, threads: 1 | 2])[] =
  PACKINGS.flatMap(([, pack], index) =>
    index === 0
      ? [[pack, 1]]
      : [
          [pack, 1],
          [pack, 2],
        ],
  );

/** Makes a bench, which goes away with all it holds. */
export async function openLayerBench(): Promise<LayerBench> {
  const place = await tempDir("stowage-layer-");
  const directory = place.path;
  const canary = await makeCanaryWorld(directory);
  const known = new Set(["canary"]);
  let count = 0;
  const makePlaces = (bytes: Buffer): { blob: string; diffDir: string } => {
    count += 1;
    const [blobName, diffName] = [`blob-${count}`, `diff-${count}`];
    known.add(blobName).add(diffName);
    const blob = join(directory, blobName);
    const diffDir = join(directory, diffName);
    writeFileSync(blob, bytes);
    mkdirSync(diffDir, 0o700);
    return { blob, diffDir };
  };
  const bench: LayerBench = {
    directory,
    canary: canary.path,
    async unpack(blob, options = {}) {
      const places = makePlaces(blob);
      const layer = await unpackLayer({ ...places, ...options });
      return { ...layer, diffDir: places.diffDir, tree: snapshotTree(places.diffDir) };
    },
    async unpackUnseen(blob) {
      await unpackLayer(makePlaces(blob));
    },
    async unpackPacked(archive) {
      const [plain, ...others] = await Promise.all(
        WAYS.map(([pack, threads]) => bench.unpack(pack(archive), { threads })),
      );
      if (plain === undefined) throw new Error("there is no way to unpack a layer");
      for (const other of others) {
        const isSame = JSON.stringify(other.tree) === JSON.stringify(plain.tree);
        if (!isSame || other.diffID !== plain.diffID) throw new Error("the way made a difference");
      }
      return plain;
    },
    async refusalOf(archive, options) {
      const refusals = await Promise.all(
        WAYS.map(([pack, threads]) =>
          refusalFrom(bench.unpack(pack(archive), { ...options, threads })),
        ),
      );
      const [first, ...others] = refusals;
      if (first === undefined || others.some(({ code }) => code !== first.code)) {
        throw new Error(`the way made a difference: ${JSON.stringify(refusals)}`);
      }
      return first;
    },
    assertUntouched() {
      const changes = canary.changes();
      const strangers = readdirSync(directory).filter((name) => !known.has(name));
      if (changes.length + strangers.length === 0) return;
      throw new Error(`outside of the layer: ${[...changes, ...strangers].join("; ")}`);
    },
    async [Symbol.asyncDispose]() {
      try {
        bench.assertUntouched();
      } finally {
        for (const name of known) {
          if (name.startsWith("diff-")) await removeTree(join(directory, name));
        }
        await place[Symbol.asyncDispose]();
      }
    },
  };
  return bench;
}

async function refusalFrom(unpacked: Promise<Unpacked>): Promise<Refusal> {
  try {
    const { tree } = await unpacked;
    throw new Error(`accepted: ${JSON.stringify(Object.keys(tree))}`);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && "kind" in error)) throw error;
    return { code: String(error.code), kind: String(error.kind), message: error.message };
  }
}
