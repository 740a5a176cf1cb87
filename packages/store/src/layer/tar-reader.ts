/**
 * Reads an archive from chunks of any size, and tells a sink about its entries in order.
 *
 * @module
 */
import { StoreError } from "../store-error.ts";
import type { LayerLimits } from "./layer-limits.ts";
import { checkGlobalPaxRecords, parsePaxRecords, type PaxRecords } from "./pax-header.ts";
import {
  type FileSink,
  parseSparseBlock,
  parseSparseHeader,
  SparseExpander,
  type SparseFile,
  type SparsePiece,
} from "./sparse-file.ts";
import {
  assembleEntry,
  type EntryExtensions,
  type FramedEntry,
  type TarEntry,
} from "./tar-entry.ts";
import {
  BLOCK_BYTES,
  isHeader,
  isZeroBlock,
  parseTarHeader,
  type TarHeader,
} from "./tar-header.ts";

/** Is told about each entry: `begin`, its content in pieces if it is a file, `end`. */
export interface TarSink extends FileSink {
  begin(entry: TarEntry, body: TarBody): void;
  end(): void;
}

/** Where the content of a file stands in its archive. */
export interface TarBody {
  /** Bytes of the archive before it. */
  readonly start: number;
  /** Without padding; 0 for all but files. */
  readonly bytes: number;
  /** Whether it has holes that stand nowhere. */
  readonly isSparse: boolean;
}

/** Takes an archive apart as its bytes come in. */
export interface TarReader {
  /** @throws {@link StoreError} `ERR_STORE_INVALID_LAYER`, `ERR_STORE_LIMIT_EXCEEDED` */
  push(chunk: Buffer): void;
  /** Says that all bytes have come. @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` */
  finish(): void;
}

/** Starts reading an archive. Entries after its end mark are never shown to the sink. */
export function createTarReader(sink: TarSink, limits: LayerLimits): TarReader {
  return new IncrementalTarReader(sink, limits);
}

interface SparseHeader {
  readonly header: TarHeader;
  readonly size: number;
  readonly pieces: SparsePiece[];
}

const EMPTY = Buffer.alloc(0);
const SPARSE_PIECE_BYTES = 24;

class IncrementalTarReader implements TarReader {
  readonly #sink: TarSink;
  readonly #limits: LayerLimits;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #blockBytes = 0;
  /** Bytes of the archive up to the block, or the piece of a body, that is being read. */
  #position = 0;
  #entries = 0;
  #contentBytes = 0;
  #storedBytes = 0;
  #zeroBlocks = 0;
  #body: "content" | "long" | "none" | "skipped" | "sparse" = "none";
  #bodyBytes = 0;
  #padding = 0;
  #claimedBytes = 0;
  #long: { readonly flag: string; readonly bytes: Buffer; filled: number } | undefined;
  #pax: PaxRecords | undefined;
  #longName: string | undefined;
  #longLink: string | undefined;
  #sparseHeader: SparseHeader | undefined;
  #expander: SparseExpander | undefined;

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
    // The padding of the last entry may be left out, as some writers do: its content is whole.
    if (this.#body !== "none" || this.#blockBytes > 0) {
      throw invalid("the archive ends in the middle of an entry");
    }
    const isAwaited = [this.#pax, this.#longName, this.#longLink, this.#sparseHeader].some(
      (extension) => extension !== undefined,
    );
    if (isAwaited) {
      throw invalid("the archive ends where an extended header wants an entry");
    }
  }

  #takeBlock(chunk: Buffer, offset: number): number {
    if (this.#blockBytes === 0 && chunk.length - offset >= BLOCK_BYTES) {
      this.#position += BLOCK_BYTES;
      this.#readBlock(chunk.subarray(offset, offset + BLOCK_BYTES));
      return offset + BLOCK_BYTES;
    }
    const copied = chunk.copy(this.#block, this.#blockBytes, offset);
    this.#blockBytes += copied;
    this.#position += copied;
    if (this.#blockBytes === BLOCK_BYTES) {
      this.#blockBytes = 0;
      this.#readBlock(this.#block);
    }
    return offset + copied;
  }

  #takePadding(chunk: Buffer, offset: number): number {
    const skipped = Math.min(this.#padding, chunk.length - offset);
    this.#padding -= skipped;
    this.#position += skipped;
    return offset + skipped;
  }

  #takeBody(chunk: Buffer, offset: number): number {
    const length = Math.min(this.#bodyBytes, chunk.length - offset);
    const bytes = chunk.subarray(offset, offset + length);
    this.#position += length;
    if (this.#body === "content") this.#sink.content(bytes);
    else if (this.#body === "sparse") this.#expander?.push(bytes);
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
    } else if (body === "sparse") {
      this.#expander?.finish();
      this.#expander = undefined;
      this.#sink.end();
    } else if (this.#long) {
      const { flag, bytes } = this.#long;
      this.#long = undefined;
      this.#readLong(flag, bytes);
    }
  }

  #readBlock(block: Buffer): void {
    if (this.#sparseHeader) this.#readSparseBlock(this.#sparseHeader, block);
    else if (this.#claimedBytes > 0 && !isZeroBlock(block) && !isHeader(block)) this.#skipClaimed();
    else this.#readHeader(block);
  }

  /**
   * The size of an entry that has no content is taken for nothing, as every reader does, so that
   * nothing can hide behind it. Where no header follows, it is the body that it says, and this block
   * is the first of it.
   */
  #skipClaimed(): void {
    const length = Math.ceil(this.#claimedBytes / BLOCK_BYTES) * BLOCK_BYTES - BLOCK_BYTES;
    this.#claimedBytes = 0;
    this.#bodyBytes = length;
    if (length > 0) this.#body = "skipped";
  }

  #readHeader(block: Buffer): void {
    this.#claimedBytes = 0;
    if (isZeroBlock(block)) {
      this.#zeroBlocks += 1;
      if (this.#zeroBlocks === 2) this.finish();
      return;
    }
    if (this.#zeroBlocks > 0) throw invalid("an entry after a lone block of zeros");
    const header = parseTarHeader(block);
    this.#entries += 1;
    if (this.#entries > this.#limits.maxEntries) {
      throw overLimit(`more than ${this.#limits.maxEntries} entries`);
    }
    if ("xgLK".includes(header.flag)) this.#beginLong(header);
    else if (header.flag === "S") this.#beginSparse(header, block);
    else this.#beginEntry(assembleEntry(header, this.#extensions()));
  }

  #extensions(sparse?: SparseFile): EntryExtensions {
    return { pax: this.#pax, longName: this.#longName, longLink: this.#longLink, sparse };
  }

  #beginLong(header: TarHeader): void {
    const { flag, size } = header;
    if (size < 0 || size > this.#limits.maxHeaderBytes) {
      throw invalid(`extended header: over ${this.#limits.maxHeaderBytes} bytes`);
    }
    const isRepeated =
      (flag === "x" && this.#pax !== undefined) ||
      (flag === "L" && this.#longName !== undefined) ||
      (flag === "K" && this.#longLink !== undefined);
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

  #beginSparse(header: TarHeader, block: Buffer): void {
    const { size, pieces, isContinued } = parseSparseHeader(block);
    this.#sparseHeader = { header, size, pieces: [...pieces] };
    if (!isContinued) this.#endSparseHeader(this.#sparseHeader);
  }

  #readSparseBlock(sparse: SparseHeader, block: Buffer): void {
    const { pieces, isContinued } = parseSparseBlock(block);
    sparse.pieces.push(...pieces);
    if (sparse.pieces.length * SPARSE_PIECE_BYTES > this.#limits.maxHeaderBytes) {
      throw invalid(`the map of a sparse file is over ${this.#limits.maxHeaderBytes} bytes`);
    }
    if (!isContinued) this.#endSparseHeader(sparse);
    else if (pieces.length === 0) throw invalid("the map of a sparse file goes on with nothing");
  }

  #endSparseHeader({ header, size, pieces }: SparseHeader): void {
    this.#sparseHeader = undefined;
    this.#beginEntry(assembleEntry(header, this.#extensions({ size, map: pieces })));
  }

  #beginEntry({ entry, statedBytes, sparse }: FramedEntry): void {
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#countContent(entry, statedBytes);
    const bytes = entry.type === "file" ? statedBytes : 0;
    this.#sink.begin(entry, { start: this.#position, bytes, isSparse: sparse !== undefined });
    if (entry.type !== "file") {
      this.#sink.end();
      this.#claimedBytes = Math.max(statedBytes, 0);
      return;
    }
    this.#padding = paddingOf(statedBytes);
    this.#bodyBytes = statedBytes;
    if (sparse) {
      const { maxHeaderBytes } = this.#limits;
      this.#expander = new SparseExpander(this.#sink, sparse, statedBytes, maxHeaderBytes);
    }
    this.#body = sparse ? "sparse" : "content";
    if (statedBytes === 0) this.#endBody();
  }

  #countContent({ size, type }: TarEntry, bodyBytes: number): void {
    const { maxBytes, freeBytes } = this.#limits;
    this.#contentBytes += size;
    if (this.#contentBytes > maxBytes || bodyBytes > maxBytes) {
      throw overLimit(`files of more than ${maxBytes} bytes`);
    }
    if (type !== "file") return;
    this.#storedBytes += bodyBytes;
    if (this.#storedBytes <= freeBytes) return;
    const message = `files of ${this.#storedBytes} bytes or more, where ${freeBytes} may be used`;
    throw new StoreError("ERR_STORE_NO_SPACE", message);
  }
}

function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function untilNul(bytes: Buffer): string {
  const nul = bytes.indexOf(0);
  return bytes.toString("latin1", 0, nul < 0 ? bytes.length : nul);
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", message);
}

function overLimit(message: string): StoreError {
  return new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
}
