/**
 * Images made from files of this machine, as an OCI layout.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

import { encodedOf, MEDIA_TYPE, parseDigest } from "@stowage/content";

import { finishLayout, type ImageFacts, makeLayout, type PackedLayer } from "./image-layout.ts";
import {
  type RealFile,
  realFiles,
  SMALL_FILE_SOURCES,
  takeBytes,
  takeFiles,
} from "./real-files.ts";

export type ImageKind =
  | "layers-1"
  | "layers-50"
  | "layers-500"
  | "small-files"
  | "tiny"
  | "usr"
  | "usr-zstd";

const run = promisify(execFile);

const SMALL_FILES = 31_000;
const LEAST_SMALL_FILES = 30_000;
const MAX_SMALL_BYTES = 256 * 1024;
const USR_BYTES = 1.1e9;
const LEAST_USR_BYTES = 1e9;
const USR_LAYERS = 7;
const TINY_FILES = 3;
const FILES_PER_LAYER = 20;

/**
 * Files for the layers of an image, the lowest first.
 *
 * @throws Error where this machine has too few of them for a row to be what it is called.
 */
export function layersOf(kind: ImageKind, scale: number): readonly (readonly RealFile[])[] {
  const small = realFiles(SMALL_FILE_SOURCES, MAX_SMALL_BYTES);
  switch (kind) {
    case "small-files": {
      const files = takeFiles(small, Math.ceil(SMALL_FILES * scale));
      requireEnough(files.length, LEAST_SMALL_FILES * scale, "small files");
      return [files];
    }
    case "usr":
    case "usr-zstd": {
      const files = takeBytes(realFiles(["/usr"]), USR_BYTES * scale);
      const bytes = files.reduce((sum, { size }) => sum + size, 0);
      requireEnough(bytes, LEAST_USR_BYTES * scale, "bytes in /usr");
      const each = Math.ceil(files.length / USR_LAYERS);
      return Array.from({ length: USR_LAYERS }, (_, at) => files.slice(at * each, (at + 1) * each));
    }
    case "tiny":
      return [takeFiles(small, TINY_FILES)];
    default: {
      const count = Number(kind.slice("layers-".length));
      const files = takeFiles(small, count * FILES_PER_LAYER);
      return Array.from({ length: count }, (_, at) =>
        files.slice(at * FILES_PER_LAYER, (at + 1) * FILES_PER_LAYER),
      );
    }
  }
}

function requireEnough(count: number, least: number, what: string): void {
  if (count < least) throw new Error(`this machine has ${count} ${what}, and ${least} are needed`);
}

/** Writes an image into a new OCI layout, under the name `it`, with the `tar` and `gzip` or `zstd` of this machine. */
export async function writeRealImage(
  layout: string,
  layers: readonly (readonly RealFile[])[],
  compression: "gzip" | "zstd",
): Promise<ImageFacts> {
  await makeLayout(layout);
  const packed: PackedLayer[] = [];
  for (const files of layers) packed.push(await packLayer(layout, files, compression));
  return await finishLayout(layout, packed);
}

async function packLayer(
  layout: string,
  files: readonly RealFile[],
  compression: "gzip" | "zstd",
): Promise<PackedLayer> {
  const list = join(layout, "list");
  const tar = join(layout, "layer.tar");
  await writeFile(list, files.map(({ path }) => `${path.slice(1)}\n`).join(""));
  await run("tar", ["-C", "/", "--verbatim-files-from", "-T", list, "-cf", tar]);
  const diffID = `sha256:${await hashFile(tar)}`;
  const bytes = (await stat(tar)).size;
  const isGzip = compression === "gzip";
  await (isGzip ? run("gzip", ["-n", tar]) : run("zstd", ["-q", "--rm", "-3", tar]));
  const blobFile = `${tar}.${isGzip ? "gz" : "zst"}`;
  const digest = parseDigest(`sha256:${await hashFile(blobFile)}`);
  const { size } = await stat(blobFile);
  await rename(blobFile, join(layout, "blobs", "sha256", encodedOf(digest)));
  await rm(list);
  const mediaType = isGzip ? MEDIA_TYPE.layerGzip : MEDIA_TYPE.layerZstd;
  return { blob: { mediaType, digest, size }, diffID, bytes, files: files.length };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}
