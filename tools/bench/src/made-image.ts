import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

import { MEDIA_TYPE, parseDigest } from "@stowage/content";
import { createTar, type TarEntry } from "@stowage/testkit";

import { finishLayout, type ImageFacts, makeLayout, type PackedLayer } from "./image-layout.ts";

/** How an image is made that has no more files than it is told. */
export interface MadeImage {
  readonly layers: number;
  readonly filesPerLayer: number;
  /** Images of different names have no layer in common. */
  readonly name: string;
}

const FILES_PER_DIRECTORY = 100;
const LINES = 24;
const END = createTar([]);

/** Writes an image of files of about 1.5 KiB, a hundred to a directory, into a new OCI layout. */
export async function writeMadeImage(layout: string, made: MadeImage): Promise<ImageFacts> {
  await makeLayout(layout);
  const packed: PackedLayer[] = [];
  for (let layer = 0; layer < made.layers; layer += 1) {
    packed.push(await packMadeLayer(layout, `${made.name}-${layer}`, made.filesPerLayer));
  }
  return await finishLayout(layout, packed);
}

async function packMadeLayer(layout: string, name: string, files: number): Promise<PackedLayer> {
  const diff = createHash("sha256");
  const blob = createHash("sha256");
  const path = join(layout, "layer");
  let bytes = 0;
  await pipeline(
    Readable.from(archive(name, files)),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        diff.update(chunk);
        bytes += chunk.length;
        yield chunk;
      }
    },
    createGzip({ level: 6, chunkSize: 1024 * 1024 }),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        blob.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(path),
  );
  const { size } = await stat(path);
  const hex = blob.digest("hex");
  await rename(path, join(layout, "blobs", "sha256", hex));
  const digest = parseDigest(`sha256:${hex}`);
  const diffID = `sha256:${diff.digest("hex")}`;
  return { blob: { mediaType: MEDIA_TYPE.layerGzip, digest, size }, diffID, bytes, files };
}

function* archive(name: string, files: number): Generator<Buffer, void, undefined> {
  for (let first = 0; first < files; first += FILES_PER_DIRECTORY) {
    const count = Math.min(FILES_PER_DIRECTORY, files - first);
    const directory = `${name}/${first / FILES_PER_DIRECTORY}`;
    const entries: TarEntry[] = Array.from({ length: count }, (_, at) => ({
      name: `${directory}/file-${first + at}.txt`,
      content: `file ${first + at} of the layer ${name}, which was made for a bench\n`.repeat(
        LINES,
      ),
    }));
    yield createTar([{ name: `${directory}/`, type: "directory" }, ...entries], { endBlocks: 0 });
  }
  yield END;
}
