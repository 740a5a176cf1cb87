/**
 * Reads an archive from chunks of any size, and tells a sink about its entries in order.
 *
 * @module
 */
import { StoreError } from "../store-error.ts";
import type { LayerLimits } from "./layer-limits.ts";
import {
  type ArchiveXattr,
  checkGlobalPaxRecords,
  parsePaxRecords,
  type PaxRecords,
} from "./pax-header.ts";
import { BLOCK_BYTES, isZeroBlock, parseTarHeader, type TarHeader } from "./tar-header.ts";

/** What an entry is. */
export type TarEntryType =
  | "block-device"
  | "character-device"
  | "directory"
  | "fifo"
  | "file"
  | "hard-link"
  | "symlink";

/** An entry, with its extended headers applied. Names are bytes as they stand in the archive. */
export interface TarEntry {
  readonly type: TarEntryType;
  readonly path: Buffer;
  readonly linkPath: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; 0 for all but files. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly atime: bigint;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: readonly ArchiveXattr[];
}

/** Is told about each entry: `begin`, its content in pieces if it is a file, `end`. */
export interface TarSink {
  begin(entry: TarEntry): void;
  /** The bytes are valid until it returns. */
  content(bytes: Buffer): void;
  end(): void;
}

/** Takes an archive apart as its bytes come in. */
export interface TarReader {
  /** @throws {@link StoreError} `ERR_STORE_INVALID_LAYER`, `ERR_STORE_LIMIT_EXCEEDED` */
  push(chunk: Buffer): void;
  /** Says that all bytes have come. @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` */
  finish(): void;
}

const FLAG_TYPES: Readonly<Record<string, TarEntryType>> = {
  "\0": "file",
  "0": "file",
  "1": "hard-link",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
  "7": "file",
};
const SLASH = 0x2f;
const EMPTY = Buffer.alloc(0);

/** Starts reading an archive. Entries after its end mark are never shown to the sink. */
export function createTarReader(sink: TarSink, limits: LayerLimits): TarReader {
  return new IncrementalTarReader(sink, limits);
}

class IncrementalTarReader implements TarReader {
  readonly #sink: TarSink;
  readonly #limits: LayerLimits;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #blockBytes = 0;
  #entries = 0;
  #zeroBlocks = 0;
  #body: "content" | "long" | "skipped" | "none" = "none";
  #bodyBytes = 0;
  #padding = 0;
  #long: { readonly flag: string; readonly bytes: Buffer; filled: number } | undefined;
  #pax: PaxRecords | undefined;
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;

  constructor(sink: TarSink, limits: LayerLimits) {
    this.#sink = sink;
    this.#limits = limits;
  }

  push(chunk: Buffer): void {
    let offset = 0;
    while (offset < chunk.length && this.#zeroBlocks < 2) {
      if (this.#body !== "none") offset = this.#takeBody(chunk, offset);
      else if (this.#padding > 0) offset = this.#takePadding(chunk, offset);
      else offset = this.#takeBlock(chunk, offset);
    }
  }

  finish(): void {
    if (this.#body !== "none" || this.#padding > 0 || this.#blockBytes > 0) {
      throw invalid("the archive ends in the middle of an entry");
    }
    if (this.#pax || this.#longName || this.#longLink) {
      throw invalid("the archive ends where an extended header wants an entry");
    }
  }

  #takeBlock(chunk: Buffer, offset: number): number {
    if (this.#blockBytes === 0 && chunk.length - offset >= BLOCK_BYTES) {
      this.#readHeader(chunk.subarray(offset, offset + BLOCK_BYTES));
      return offset + BLOCK_BYTES;
    }
    const copied = chunk.copy(this.#block, this.#blockBytes, offset);
    this.#blockBytes += copied;
    if (this.#blockBytes === BLOCK_BYTES) {
      this.#blockBytes = 0;
      this.#readHeader(this.#block);
    }
    return offset + copied;
  }

  #takePadding(chunk: Buffer, offset: number): number {
    const skipped = Math.min(this.#padding, chunk.length - offset);
    this.#padding -= skipped;
    return offset + skipped;
  }

  #takeBody(chunk: Buffer, offset: number): number {
    const length = Math.min(this.#bodyBytes, chunk.length - offset);
    const bytes = chunk.subarray(offset, offset + length);
    if (this.#body === "content") this.#sink.content(bytes);
    else if (this.#long) this.#long.filled += bytes.copy(this.#long.bytes, this.#long.filled);
    this.#bodyBytes -= length;
    if (this.#bodyBytes === 0) this.#endBody();
    return offset + length;
  }

  #endBody(): void {
    const body = this.#body;
    this.#body = "none";
    if (body === "content") {
      this.#sink.end();
    } else if (this.#long) {
      const { flag, bytes } = this.#long;
      this.#long = undefined;
      this.#readLong(flag, bytes);
    }
  }

  #readHeader(block: Buffer): void {
    if (isZeroBlock(block)) {
      this.#zeroBlocks += 1;
      if (this.#zeroBlocks === 2) this.finish();
      return;
    }
    if (this.#zeroBlocks > 0) throw invalid("an entry after a lone block of zeros");
    const header = parseTarHeader(block);
    this.#entries += 1;
    if (this.#entries > this.#limits.maxEntries) {
      const message = `more than ${this.#limits.maxEntries} entries`;
      throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
    }
    if ("xgLK".includes(header.flag)) this.#beginLong(header);
    else this.#beginEntry(header);
  }

  #beginLong(header: TarHeader): void {
    const { flag, size } = header;
    if (size < 0 || size > this.#limits.maxHeaderBytes) {
      throw invalid(`extended header: over ${this.#limits.maxHeaderBytes} bytes`);
    }
    const isRepeated =
      (flag === "x" && this.#pax) ||
      (flag === "L" && this.#longName) ||
      (flag === "K" && this.#longLink);
    if (isRepeated) throw invalid("two extended headers of one kind for one entry");
    this.#padding = paddingOf(size);
    if (size === 0) {
      this.#readLong(flag, EMPTY);
      return;
    }
    this.#long = { flag, bytes: Buffer.alloc(size), filled: 0 };
    this.#body = "long";
    this.#bodyBytes = size;
  }

  #readLong(flag: string, bytes: Buffer): void {
    if (flag === "x") this.#pax = parsePaxRecords(bytes, this.#limits);
    else if (flag === "g") checkGlobalPaxRecords(bytes);
    else if (flag === "L") this.#longName = untilNul(bytes);
    else this.#longLink = untilNul(bytes);
  }

  #beginEntry(header: TarHeader): void {
    const entry = this.#applyExtensions(header);
    const stated = this.#pax?.size ?? header.size;
    if (entry.type === "file" && stated < 0) throw invalid("archive header: size is blank");
    const size = entry.type === "hard-link" ? 0 : Math.max(stated, 0);
    if (size > this.#limits.maxBytes) {
      const message = `an entry of ${size} bytes, over ${this.#limits.maxBytes}`;
      throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
    }
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#sink.begin(entry);
    this.#padding = paddingOf(size);
    if (size === 0) {
      this.#sink.end();
      return;
    }
    this.#bodyBytes = size;
    this.#body = entry.type === "file" ? "content" : "skipped";
    if (entry.type !== "file") this.#sink.end();
  }

  #applyExtensions(header: TarHeader): TarEntry {
    const pax = this.#pax;
    const type = typeOf(header);
    if (pax?.sparse) throw invalid("a sparse file, which layers do not have");
    if (pax?.path && this.#longName) throw invalid("an entry with two long names");
    if (pax?.linkPath && this.#longLink) throw invalid("an entry with two long link names");
    const mtime = pax?.mtime ?? header.mtime;
    const atime = pax?.atime ?? mtime;
    return {
      type,
      path: pax?.path ?? this.#longName ?? header.name,
      linkPath: pax?.linkPath ?? this.#longLink ?? header.linkName,
      mode: header.mode,
      uid: pax?.uid ?? header.uid,
      gid: pax?.gid ?? header.gid,
      size: type === "file" ? (pax?.size ?? header.size) : 0,
      mtime,
      atime: atime > mtime ? atime : mtime,
      major: header.major,
      minor: header.minor,
      xattrs: pax?.xattrs ?? [],
    };
  }
}

function typeOf(header: TarHeader): TarEntryType {
  const type = FLAG_TYPES[header.flag];
  if (type === undefined) {
    const what = header.flag === "S" ? "a sparse file, which layers do not have" : "unknown";
    throw invalid(`entry type 0x${header.flag.charCodeAt(0).toString(16)}: ${what}`);
  }
  // Archives from before ustar have no type for directories: their names end in a slash.
  if (header.flag === "\0" && header.name.at(-1) === SLASH) return "directory";
  return type;
}

function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function untilNul(bytes: Buffer): Buffer {
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", message);
}
