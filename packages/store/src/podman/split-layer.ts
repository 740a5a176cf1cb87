/**
 * Makes the tar-split file of a stored layer from its blob.
 *
 * @module
 */
import { closeSync, constants, createWriteStream, openSync, readSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

import { algorithmOf, createDigester, type Digest, hasErrorCode } from "@stowage/content";

import { decompress, detectCompression } from "../layer/decompress.ts";
import type { LayerRecord } from "../layer-record.ts";
import { readFully } from "../read-fully.ts";
import type { StoreContext } from "../store-context.ts";
import { StoreError } from "../store-error.ts";
import { blobPath, diffPath, type StoreLayout } from "../store-layout.ts";
import { digestOfJoined } from "./join-tar-split.ts";
import { openLayerFiles } from "../layer/layer-files.ts";
import { TarSplitter } from "./tar-split.ts";

const READ_BYTES = 256 * 1024;
const HEAD_BYTES = 6;
const GZIP_LEVEL = 1;

/**
 * Writes the tar-split of a layer to a new file and syncs it, having put the archive together again
 * from it once.
 *
 * @throws {@link StoreError} `ERR_STORE_BLOB_NOT_FOUND`; `ERR_STORE_DIFF_ID_MISMATCH` when the blob
 *   is not the layer's; `ERR_STORE_CORRUPT` when the files change meanwhile; as unpacking the blob.
 */
export async function splitLayer(
  { layout, limits }: StoreContext,
  layer: LayerRecord,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  using files = openLayerFiles(diffPath(layout, layer.id));
  {
    using splitter = new TarSplitter(files, { ...limits, freeBytes: Infinity });
    const lines = Readable.from(splitBlob(layout, layer, splitter, limits.maxFrames), {
      objectMode: false,
    });
    const file = createWriteStream(path, { flags: "wx", mode: 0o600, flush: true });
    await pipeline(lines, createGzip({ level: GZIP_LEVEL }), file, { signal }).catch((error) => {
      signal?.throwIfAborted();
      throw error;
    });
  }
  const joined = await digestOfJoined(path, files, layer.diffID, signal);
  if (joined === layer.diffID) return;
  const message = `layer ${layer.id}: its files make ${joined}, not ${layer.diffID}`;
  throw new StoreError("ERR_STORE_CORRUPT", message, { hint: "Run fsck --repair, and try again." });
}

async function* splitBlob(
  layout: StoreLayout,
  { blob, diffID, id }: LayerRecord,
  splitter: TarSplitter,
  maxFrames: number,
): AsyncGenerator<Buffer, void, undefined> {
  const digester = createDigester(algorithmOf(diffID));
  for await (const chunk of openArchive(blobPath(layout, blob.digest), blob.digest, maxFrames)) {
    digester.update(chunk);
    splitter.push(chunk);
    yield Buffer.from(splitter.take());
  }
  splitter.finish();
  yield Buffer.from(splitter.take());
  const found = digester.digest();
  if (found === diffID) return;
  throw new StoreError(
    "ERR_STORE_DIFF_ID_MISMATCH",
    `layer ${id}: the archive of its blob is ${found}, not ${diffID}`,
    { hint: "Run fsck --repair, and try again." },
  );
}

async function* openArchive(
  path: string,
  digest: Digest,
  maxFrames: number,
): AsyncGenerator<Buffer, void, undefined> {
  const fd = openBlob(path, digest);
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const length = readFully(fd, head, 0);
    const compression = detectCompression(head.subarray(0, length));
    yield* decompress(readChunks(fd), compression, maxFrames);
  } finally {
    closeSync(fd);
  }
}

function openBlob(path: string, digest: Digest): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT")) throw error;
    throw new StoreError("ERR_STORE_BLOB_NOT_FOUND", `blob ${digest} is not stored`, {
      hint: "Run fsck --repair, which fetches it again.",
    });
  }
}

/** In memory of their own: streams hold on to one while they ask for the next. */
function* readChunks(fd: number): Generator<Buffer, void, undefined> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const bytes = readSync(fd, buffer, 0, READ_BYTES, null);
    if (bytes === 0) return;
    yield buffer.subarray(0, bytes);
  }
}
