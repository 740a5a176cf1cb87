import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

import { createInflater } from "../linux/isal.ts";
import { createZstdDecompressor } from "../linux/node-zstd.ts";
import { StoreError } from "../store-error.ts";
import { type ChunkSink, writeChunk } from "./chunk-sink.ts";
import { decompress, detectCompression, WINDOW_LOG_MAX } from "./decompress.ts";
import { GrowthReader } from "./growing-file.ts";
import { gunzipMembers } from "./gunzip-members.ts";
import type { LayerLimits } from "./layer-limits.ts";
import type { DecodedBlob, GrowingBlob, StoredBlob } from "./unpack-job.ts";
import { reportDigest, reportProgress } from "./unpack-thread.ts";
import { unzstdFrames } from "./unzstd-frames.ts";

const READ_BYTES = 256 * 1024;
// A thread takes in one blob after the other, of which there may be hundreds.
const INPUT = Buffer.allocUnsafeSlow(READ_BYTES);
const HEAD_BYTES = 6;

/**
 * Unpacks a blob into the archive that is packed in it, and hashes both on the way.
 *
 * @throws {@link StoreError} for how the blob is packed, or for a file that cannot be read;
 *   {@link GrowthAbortedError} for one that will not become whole; what `output` throws.
 */
export async function decodeBlob(
  source: GrowingBlob | StoredBlob,
  output: ChunkSink,
  limits: LayerLimits,
): Promise<DecodedBlob> {
  const archive = createArchiveHash(output, limits);
  const chunks = source.type === "growing" ? readGrowing(source) : readFile(source.path);
  try {
    await unpack(chunks, archive, limits);
  } finally {
    chunks.return();
  }
  return { diffID: `sha256:${archive.digest()}`, diffSize: archive.size() };
}

async function unpack(
  chunks: Iterable<Buffer>,
  sink: ChunkSink,
  limits: LayerLimits,
): Promise<void> {
  const iterator = chunks[Symbol.iterator]();
  const head = readHead(iterator);
  const whole = prepend(head, iterator);
  const compression = detectCompression(head);
  const inflater = compression === "gzip" ? createInflater() : undefined;
  if (inflater) {
    gunzipMembers(inflater, whole, sink);
    return;
  }
  using unpacker = compression === "zstd" ? createZstdDecompressor(WINDOW_LOG_MAX) : undefined;
  if (unpacker) {
    unzstdFrames(unpacker, whole, sink, limits.maxFrames);
    return;
  }
  const lasting = compression === "none" ? whole : copied(whole);
  for await (const chunk of decompress(lasting, compression, limits.maxFrames)) {
    writeChunk(sink, chunk);
  }
}

/** As much as it takes to tell how a blob is packed. */
function readHead(iterator: Iterator<Buffer>): Buffer {
  let head = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const next = iterator.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  return head;
}

/** Streams hold on to a chunk while they ask for the next. */
function* copied(chunks: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

interface ArchiveHash extends ChunkSink {
  digest(): string;
  size(): number;
}

/** Hashes the archive on its way out. */
function createArchiveHash(output: ChunkSink, { maxBytes }: LayerLimits): ArchiveHash {
  const hash = createHash("sha256");
  let size = 0;
  let reserved: Buffer | undefined;
  return {
    reserve: () => (reserved ??= output.reserve()),
    commit(length) {
      size += length;
      if (size > maxBytes) {
        const message = `the layer unpacks to more than ${maxBytes} bytes`;
        throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
      }
      // Before it is passed on: it may be overwritten at once.
      hash.update((reserved as Buffer).subarray(0, length));
      reserved = undefined;
      output.commit(length);
    },
    digest: () => hash.digest("hex"),
    size: () => size,
  };
}

/** What another thread writes, as far as it has come. */
function* readGrowing({
  fd,
  growth,
  size,
  algorithm,
}: GrowingBlob): Generator<Buffer, void, undefined> {
  const reader = new GrowthReader(growth);
  const hash = createHash(algorithm);
  for (let position = 0; ;) {
    const length = reader.wait(position);
    reportProgress(position, length === position);
    if (length === position) return;
    const wanted = Math.min(INPUT.length, length - position);
    const bytes = readSync(fd, INPUT, 0, wanted, position);
    if (bytes === 0) throw new StoreError("ERR_STORE_IO", "what was received is gone");
    position += bytes;
    if (position <= size) hash.update(INPUT.subarray(0, bytes));
    if (position === size) reportDigest(`${algorithm}:${hash.digest("hex")}`);
    yield INPUT.subarray(0, bytes);
  }
}

function* readFile(path: string): Generator<Buffer, void, undefined> {
  const fd = openSync(path, "r");
  try {
    for (let position = 0; ;) {
      const bytes = readSync(fd, INPUT, 0, INPUT.length, null);
      reportProgress(position, bytes === 0);
      if (bytes === 0) return;
      position += bytes;
      yield INPUT.subarray(0, bytes);
    }
  } finally {
    closeSync(fd);
  }
}

function* prepend(head: Buffer, rest: Iterator<Buffer>): Generator<Buffer, void, undefined> {
  if (head.length > 0) yield head;
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
}
