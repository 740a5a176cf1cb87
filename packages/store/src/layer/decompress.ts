/**
 * Layer blobs, by what they begin with: gzip, zstd or a plain archive.
 *
 * @module
 */
import { pipeline, Readable, type Transform } from "node:stream";
// By name, what an old Node lacks would fail before anything could say so.
import zlib, { constants, createGunzip } from "node:zlib";

import { hasErrorCode } from "@stowage/content";

import { StoreError } from "../store-error.ts";
import { GzipEnd } from "./gzip-end.ts";
import { splitZstdFrames } from "./zstd-frames.ts";

/** How the bytes of a layer blob are packed. */
export type Compression = "gzip" | "none" | "zstd";

const CHUNK_BYTES = 256 * 1024;
const SMALL_FRAME_BYTES = 64 * 1024;
const SMALL_CONTENT_BYTES = 1024 * 1024;
/** The most memory that a zstd frame may want: 128 MiB, as a power of two. */
export const WINDOW_LOG_MAX = 27;
const ZSTD_PARAMS = { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX };

const UNSUPPORTED: readonly (readonly [string, string])[] = [
  ["bzip2", "425a68"],
  ["xz", "fd377a585a00"],
  ["lz4", "04224d18"],
  ["compress", "1f9d"],
  ["zip", "504b0304"],
];

/**
 * Tells how a blob is packed from its first bytes (six are enough).
 *
 * @throws {@link StoreError} `ERR_STORE_UNSUPPORTED_COMPRESSION` for packings that layers do not have.
 */
export function detectCompression(head: Buffer): Compression {
  const hex = head.toString("hex", 0, 6);
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("28b52ffd") || /^5[0-9a-f]2a4d18/.test(hex)) return "zstd";
  const unsupported = UNSUPPORTED.find(([, magic]) => hex.startsWith(magic));
  if (unsupported) {
    const message = `the layer is packed with ${unsupported[0]}, which is not supported`;
    throw new StoreError("ERR_STORE_UNSUPPORTED_COMPRESSION", message);
  }
  return "none";
}

/**
 * Unpacks the chunks of a blob, to its very end. Errors that reading the chunks throws pass through.
 *
 * What may stand behind a gzip stream is for {@link GzipEnd} to say.
 *
 * @throws {@link StoreError} `ERR_STORE_DECOMPRESS` when the stream is broken or is followed by
 *   something else; `ERR_STORE_LIMIT_EXCEEDED` when a zstd frame wants too much memory.
 */
export async function* decompress(
  chunks: Iterable<Buffer>,
  compression: Compression,
  maxFrames: number,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    if (compression === "gzip") yield* gunzip(chunks);
    else if (compression === "zstd") yield* unzstd(chunks, maxFrames);
    else yield* chunks;
  } catch (error) {
    throw asDecompressError(error, compression);
  }
}

async function* gunzip(chunks: Iterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const end = new GzipEnd();
  const source = noted(chunks, end);
  const gunzipper = createGunzip({ chunkSize: CHUNK_BYTES });
  yield* transformed(resumed([], source), gunzipper);
  // It stops asking once it takes the stream to have ended.
  for (const _ of source);
  end.check(gunzipper.bytesWritten);
}

function* noted(chunks: Iterable<Buffer>, end: GzipEnd): Generator<Buffer, void, undefined> {
  for (const chunk of chunks) {
    end.note(chunk);
    yield chunk;
  }
}

async function* unzstd(
  chunks: Iterable<Buffer>,
  maxFrames: number,
): AsyncGenerator<Buffer, void, undefined> {
  for (const frame of splitZstdFrames(chunks, maxFrames)) {
    const iterator = frame[Symbol.iterator]();
    const head: Buffer[] = [];
    let bytes = 0;
    let isWhole = false;
    while (!isWhole && bytes <= SMALL_FRAME_BYTES) {
      const next = iterator.next();
      if (next.done) isWhole = true;
      else {
        head.push(next.value);
        bytes += next.value.length;
      }
    }
    const small = isWhole ? decompressSmallFrame(Buffer.concat(head)) : undefined;
    if (small) yield small;
    else yield* transformed(resumed(head, iterator), createUnzstd());
  }
}

/** Archives with a frame for each file have thousands: a stream for each of those is too dear. */
function decompressSmallFrame(frame: Buffer): Buffer | undefined {
  try {
    const options = { params: ZSTD_PARAMS, maxOutputLength: SMALL_CONTENT_BYTES };
    return zlib.zstdDecompressSync(frame, options);
  } catch (error) {
    if (hasErrorCode(error, "ERR_BUFFER_TOO_LARGE")) return undefined;
    throw error;
  }
}

function* resumed(head: readonly Buffer[], rest: Iterator<Buffer>): Generator<Buffer, void> {
  yield* head;
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
}

function createUnzstd(): Transform {
  return zlib.createZstdDecompress({ chunkSize: CHUNK_BYTES, params: ZSTD_PARAMS });
}

async function* transformed(
  chunks: Iterable<Buffer>,
  transform: Transform,
): AsyncGenerator<Buffer, void, undefined> {
  // Its errors come out of the iteration below, since the pipeline destroys the transform with them.
  pipeline(Readable.from(chunks, { highWaterMark: 1 }), transform, () => {});
  yield* transform as AsyncIterable<Buffer>;
}

function asDecompressError(error: unknown, compression: Compression): unknown {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") {
    return error;
  }
  if (!/^(?:Z_|ZSTD_)/.test(error.code)) return error;
  if (/windowTooLarge/.test(error.code)) {
    const message = "a zstd frame with a window over 128 MiB";
    return new StoreError("ERR_STORE_LIMIT_EXCEEDED", message, { cause: error });
  }
  const message = `the ${compression} stream is broken: ${error.message}`;
  return new StoreError("ERR_STORE_DECOMPRESS", message, { cause: error });
}
