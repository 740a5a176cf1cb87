/**
 * Tables of contents in layer blobs: where they are, and what they say. Both forms are for hints
 * only. A blob is held to its digest, whatever its table of contents says.
 *
 * @see https://github.com/containers/storage/blob/main/docs/containers-storage-zstd-chunked.md
 * @see https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md
 * @module
 */
import { promisify } from "node:util";
// By name, what an old Node lacks would fail before anything could say so.
import zlib, { constants, gunzip } from "node:zlib";

import { type Descriptor, digestOf } from "@stowage/content";

import { type BlobSegment, segmentBlob } from "./blob-segments.ts";
import { tocEntries, TocError } from "./toc-entries.ts";

/** Reads bytes of a blob up to its end. */
export type ReadTail = (offset: number) => Promise<Buffer>;

/** What a blob's table of contents tells. */
export interface BlobToc {
  readonly segments: readonly BlobSegment[];
  /** The end of the blob, which had to be read. */
  readonly tail: { readonly offset: number; readonly bytes: Buffer };
}

// With its names, times and two digests an entry takes about 400 bytes.
const MAX_UNPACKED = 64 * 1024 * 1024;
/** The most that is read of a blob's end. */
export const MAX_TAIL: number = 16 * 1024 * 1024;

const POSITION = /^(?:io\.github|io)\.containers\.zstd-chunked\.manifest-position$/;
const CHECKSUM = /^(?:io\.github|io)\.containers\.zstd-chunked\.manifest-checksum$/;
const STARGZ = "containerd.io/snapshot/stargz/toc.digest";
/** The header of a skippable frame, in which the table of contents lies. */
const SKIPPABLE_HEADER = 8;
const WINDOW_LOG_MAX = 26;
const PLAIN_TYPE = "1";

/** Whether a layer says that it has a table of contents. */
export function hasToc({ annotations }: Descriptor): boolean {
  if (annotations === undefined) return false;
  return Object.keys(annotations).some((name) => name === STARGZ || POSITION.test(name));
}

/**
 * Reads the table of contents of a layer that {@link hasToc}.
 *
 * @throws {@link TocError} where there is none, it is not the one that the layer's descriptor names,
 *   or is over a limit; and what `read` throws.
 */
export async function readToc(layer: Descriptor, read: ReadTail): Promise<BlobToc> {
  const position = annotationOf(layer, POSITION);
  if (position !== undefined) return await readZstdChunked(layer, position, read);
  return await readStargz(layer, read);
}

async function readZstdChunked(
  layer: Descriptor,
  position: string,
  read: ReadTail,
): Promise<BlobToc> {
  const match = /^(\d{1,15}):(\d{1,15}):(\d{1,15}):(\d{1,3})$/.exec(position);
  if (match === null || match[4] !== PLAIN_TYPE) throw new TocError("its position is not known");
  const [offset = 0, length = 0, unpacked = 0] = match.slice(1).map(Number);
  const dataEnd = offset - SKIPPABLE_HEADER;
  if (dataEnd < 0 || offset + length > layer.size) throw new TocError("it is not in the blob");
  if (unpacked > MAX_UNPACKED) throw new TocError(`more than ${MAX_UNPACKED} bytes unpacked`);
  const tail = { offset, bytes: await readTail(layer, offset, read) };
  const packed = tail.bytes.subarray(0, length);
  requireDigest(packed, annotationOf(layer, CHECKSUM));
  const params = { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX };
  const json = await unpack(promisify(zlib.zstdDecompress)(packed, limited(unpacked, { params })));
  const rules = { dataEnd, isCutBehindFiles: true };
  return { segments: await segmentBlob(tocEntries(json), rules), tail };
}

// A gzip member without content, whose extra field says where the table of contents begins.
const FOOTER_BYTES = 51;
const FOOTER = /^([0-9a-f]{16})STARGZ$/;
const FOOTER_TEXT = 16;
const FOOTER_TEXT_END = 38;
/** Large enough for the footer and most tables of contents. */
const FIRST_TAIL = 64 * 1024;
const TOC_NAME = "stargz.index.json";
const BLOCK = 512;
const TAR_SIZE = 124;
const TAR_SIZE_END = 135;

async function readStargz(layer: Descriptor, read: ReadTail): Promise<BlobToc> {
  const { size } = layer;
  const guess = Math.max(size - FIRST_TAIL, 0);
  const end = await readTail(layer, guess, read);
  const footer = end.subarray(-FOOTER_BYTES);
  const place = FOOTER.exec(footer.toString("latin1", FOOTER_TEXT, FOOTER_TEXT_END));
  const offset = Number.parseInt(place?.[1] ?? "", 16);
  if (!(offset < size - FOOTER_BYTES)) throw new TocError("the blob has no footer");
  // Bytes of files that came with it are good for the blob, too.
  const tail =
    offset < guess
      ? { offset, bytes: await readTail(layer, offset, read) }
      : { offset: guess, bytes: end };
  const packed = tail.bytes.subarray(offset - tail.offset, -FOOTER_BYTES);
  const archive = await unpack(promisify(gunzip)(packed, limited(MAX_UNPACKED)));
  const length = Number.parseInt(archive.toString("latin1", TAR_SIZE, TAR_SIZE_END), 8);
  const isToc = archive.toString("latin1", 0, TOC_NAME.length + 1) === `${TOC_NAME}\0`;
  if (!isToc || !(BLOCK + length <= archive.length)) throw new TocError("there is none");
  const json = archive.subarray(BLOCK, BLOCK + length);
  requireDigest(json, layer.annotations?.[STARGZ]);
  const rules = { dataEnd: offset, isCutBehindFiles: false };
  return { segments: await segmentBlob(tocEntries(json), rules), tail };
}

function annotationOf({ annotations = {} }: Descriptor, wanted: RegExp): string | undefined {
  return Object.entries(annotations).find(([name]) => wanted.test(name))?.[1];
}

async function readTail({ size }: Descriptor, offset: number, read: ReadTail): Promise<Buffer> {
  if (size - offset > MAX_TAIL) throw new TocError(`more than ${MAX_TAIL} bytes at the end`);
  const bytes = await read(offset);
  if (bytes.length !== size - offset) throw new TocError("the end of the blob is cut off");
  return bytes;
}

function requireDigest(bytes: Buffer, digest: string | undefined): void {
  if (digestOf(bytes) !== digest) throw new TocError("it is not the one of the annotation");
}

function limited<Options extends object>(
  maxOutputLength: number,
  options?: Options,
): Options & { maxOutputLength: number } {
  // Nothing may be unpacked to nothing, which is no limit to zlib.
  return { ...options, maxOutputLength: Math.max(maxOutputLength, 1) } as Options & {
    maxOutputLength: number;
  };
}

async function unpack(unpacking: Promise<Buffer>): Promise<Buffer> {
  try {
    return await unpacking;
  } catch (cause) {
    throw new TocError("it can not be unpacked", { cause });
  }
}
