/**
 * Images made from files of this machine, as an OCI layout.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

import {
  type Descriptor,
  encodedOf,
  hostPlatform,
  MEDIA_TYPE,
  parseDigest,
} from "@stowage/content";

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
const MAX_SMALL_BYTES = 256 * 1024;
const USR_BYTES = 1.1e9;
const USR_LAYERS = 7;
const TINY_FILES = 3;
const FILES_PER_LAYER = 20;

/** Files for the layers of an image, the lowest first. */
export function layersOf(kind: ImageKind, scale: number): readonly (readonly RealFile[])[] {
  const small = realFiles(SMALL_FILE_SOURCES, MAX_SMALL_BYTES);
  switch (kind) {
    case "small-files":
      return [takeFiles(small, Math.ceil(SMALL_FILES * scale))];
    case "usr":
    case "usr-zstd": {
      const files = takeBytes(realFiles(["/usr"]), USR_BYTES * scale);
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

/** Writes an image into a new OCI layout, under the name `it`, with the `tar` and `gzip` or `zstd` of this machine. */
export async function writeRealImage(
  layout: string,
  layers: readonly (readonly RealFile[])[],
  compression: "gzip" | "zstd",
): Promise<void> {
  await mkdir(join(layout, "blobs", "sha256"), { recursive: true });
  const packed: Descriptor[] = [];
  const diffIDs: string[] = [];
  for (const files of layers) {
    const { blob, diffID } = await packLayer(layout, files, compression);
    packed.push(blob);
    diffIDs.push(diffID);
  }
  const config = await addDocument(layout, MEDIA_TYPE.imageConfig, {
    ...hostPlatform(),
    config: { Cmd: ["/bin/true"] },
    rootfs: { type: "layers", diff_ids: diffIDs },
  });
  const mediaType = MEDIA_TYPE.imageManifest;
  const document = { schemaVersion: 2, mediaType, config, layers: packed };
  const manifest = await addDocument(layout, mediaType, document);
  const annotations = { "org.opencontainers.image.ref.name": "it" };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  await writeFile(join(layout, "index.json"), JSON.stringify(index));
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

async function packLayer(
  layout: string,
  files: readonly RealFile[],
  compression: "gzip" | "zstd",
): Promise<{ blob: Descriptor; diffID: string }> {
  const list = join(layout, "list");
  const tar = join(layout, "layer.tar");
  await writeFile(list, files.map(({ path }) => `${path.slice(1)}\n`).join(""));
  await run("tar", ["-C", "/", "--verbatim-files-from", "-T", list, "-cf", tar]);
  const diffID = `sha256:${await hashFile(tar)}`;
  const isGzip = compression === "gzip";
  await (isGzip ? run("gzip", ["-n", tar]) : run("zstd", ["-q", "--rm", "-3", tar]));
  const blobFile = `${tar}.${isGzip ? "gz" : "zst"}`;
  const digest = parseDigest(`sha256:${await hashFile(blobFile)}`);
  const { size } = await stat(blobFile);
  await rename(blobFile, join(layout, "blobs", "sha256", encodedOf(digest)));
  await rm(list);
  const mediaType = isGzip ? MEDIA_TYPE.layerGzip : MEDIA_TYPE.layerZstd;
  return { blob: { mediaType, digest, size }, diffID };
}

async function addDocument(layout: string, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(layout, "blobs", "sha256", hex), bytes);
  return { mediaType, digest: parseDigest(`sha256:${hex}`), size: bytes.length };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}
