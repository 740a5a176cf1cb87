/**
 * GNU's sparse files: a map of where data lies, and the data without what is between.
 *
 * @see https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html
 * @module
 */
import { StoreError } from "../store-error.ts";
import { BLOCK_BYTES, numberField } from "./tar-header.ts";

/** Where one piece of the data belongs. */
export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

/** A sparse file as its headers describe it. */
export interface SparseFile {
  /** Bytes with all holes. */
  readonly size: number;
  /** Its map, or `inBody` where the data begins with it. */
  readonly map: readonly SparsePiece[] | "inBody";
}

/** Takes a file apart: its data in order, and the holes between. */
export interface FileSink {
  /** The bytes are valid until it returns. */
  content(bytes: Buffer): void;
  /** So many zeros, which need not be stored. */
  hole(length: number): void;
}

const PIECE_BYTES = 24;
const HEADER_PIECES = 4;
const BLOCK_PIECES = 21;
const MAP_START = 386;
const NEWLINE = 0x0a;
const MAX_DIGITS = 16;

/** The map in an `S` header, as far as it goes, and whether a block with more of it follows. */
export function parseSparseHeader(block: Buffer): {
  readonly size: number;
  readonly pieces: readonly SparsePiece[];
  readonly isContinued: boolean;
} {
  const end = MAP_START + HEADER_PIECES * PIECE_BYTES;
  const size = sparseNumber(block, end + 1, end + 13);
  return {
    size,
    pieces: parsePieces(block, MAP_START, HEADER_PIECES),
    isContinued: block[end] !== 0,
  };
}

/** A block that goes on with the map of an `S` header. */
export function parseSparseBlock(block: Buffer): {
  readonly pieces: readonly SparsePiece[];
  readonly isContinued: boolean;
} {
  const isContinued = block[BLOCK_PIECES * PIECE_BYTES] !== 0;
  return { pieces: parsePieces(block, 0, BLOCK_PIECES), isContinued };
}

/**
 * The map of the `GNU.sparse` records, versions 0.0 and 0.1: offset and length in turn.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER`
 */
export function pairPieces(numbers: readonly string[]): readonly SparsePiece[] {
  if (numbers.length % 2 !== 0) throw invalid("its map has an offset without a length");
  return Array.from({ length: numbers.length / 2 }, (_, index) => ({
    offset: decimalOf(numbers[2 * index] ?? ""),
    length: decimalOf(numbers[2 * index + 1] ?? ""),
  }));
}

/** Reads a number of the `GNU.sparse` records. @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` */
export function decimalOf(text: string): number {
  const number = Number(text);
  if (text.length > MAX_DIGITS || !/^[0-9]+$/.test(text) || number > Number.MAX_SAFE_INTEGER) {
    throw invalid("its map has something that is no number");
  }
  return number;
}

/**
 * Expands the stored bytes of a sparse file.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when the pieces of the map overlap, are out of
 *   order, lie past the end of the file, or are not as long as the data.
 */
export class SparseExpander {
  readonly #sink: FileSink;
  readonly #file: SparseFile;
  readonly #bodyMap: BodyMap | undefined;
  #pieces: readonly SparsePiece[] = [];
  #dataBytes: number;
  #piece = 0;
  #inPiece = 0;
  #position = 0;

  /** @param bodyBytes - How many bytes the archive has of it. */
  constructor(sink: FileSink, file: SparseFile, bodyBytes: number, maxMapBytes: number) {
    this.#sink = sink;
    this.#file = file;
    this.#dataBytes = bodyBytes;
    if (file.map === "inBody") this.#bodyMap = new BodyMap(maxMapBytes);
    else this.#usePieces(file.map);
  }

  push(bytes: Buffer): void {
    let rest = bytes;
    if (this.#bodyMap && !this.#bodyMap.isWhole) {
      const taken = this.#bodyMap.push(rest);
      this.#dataBytes -= taken;
      rest = rest.subarray(taken);
      if (!this.#bodyMap.isWhole) return;
      this.#usePieces(this.#bodyMap.pieces);
    }
    while (rest.length > 0) {
      const piece = this.#pieces[this.#piece];
      if (piece === undefined) throw invalid("its data goes on behind its map");
      if (this.#inPiece === 0) this.#moveTo(piece.offset);
      const part = rest.subarray(0, piece.length - this.#inPiece);
      if (part.length > 0) this.#sink.content(part);
      this.#inPiece += part.length;
      this.#position += part.length;
      rest = rest.subarray(part.length);
      if (this.#inPiece < piece.length) return;
      this.#piece += 1;
      this.#inPiece = 0;
    }
  }

  finish(): void {
    if (this.#bodyMap && !this.#bodyMap.isWhole) throw invalid("its map is cut off");
    this.#moveTo(this.#file.size);
  }

  #moveTo(offset: number): void {
    if (offset > this.#position) this.#sink.hole(offset - this.#position);
    this.#position = offset;
  }

  #usePieces(pieces: readonly SparsePiece[]): void {
    let end = 0;
    let bytes = 0;
    for (const { offset, length } of pieces) {
      if (offset < end || offset + length > this.#file.size) {
        throw invalid("its map is out of order or leads past its end");
      }
      end = offset + length;
      bytes += length;
    }
    if (bytes !== this.#dataBytes) throw invalid("its map and its data differ in length");
    this.#pieces = pieces.filter(({ length }) => length > 0);
  }
}

/** The map of version 1.0: lines of decimal digits in whole blocks, the count of pieces first. */
class BodyMap {
  readonly #maxBytes: number;
  readonly #numbers: number[] = [];
  #digits = "";
  #taken = 0;
  #isRead = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isWhole(): boolean {
    return this.#isRead && this.#taken % BLOCK_BYTES === 0;
  }

  get pieces(): readonly SparsePiece[] {
    return Array.from({ length: this.#numbers[0] ?? 0 }, (_, index) => ({
      offset: this.#numbers[2 * index + 1] ?? 0,
      length: this.#numbers[2 * index + 2] ?? 0,
    }));
  }

  /** Answers how many of the bytes belong to the map. */
  push(bytes: Buffer): number {
    for (let index = 0; index < bytes.length; index += 1) {
      if (this.isWhole) return index;
      this.#take(bytes[index] ?? 0);
    }
    return bytes.length;
  }

  #take(byte: number): void {
    this.#taken += 1;
    if (this.#isRead) return;
    if (this.#taken > this.#maxBytes) throw invalid(`its map is over ${this.#maxBytes} bytes`);
    if (byte !== NEWLINE) {
      if (this.#digits.length > MAX_DIGITS)
        throw invalid("its map has something that is no number");
      this.#digits += String.fromCharCode(byte);
      return;
    }
    this.#numbers.push(decimalOf(this.#digits));
    this.#digits = "";
    this.#isRead = this.#numbers.length === 1 + 2 * (this.#numbers[0] ?? 0);
  }
}

function parsePieces(block: Buffer, start: number, count: number): readonly SparsePiece[] {
  const pieces: SparsePiece[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = start + index * PIECE_BYTES;
    // The rest of the table is blank.
    if (block[at] === 0 && block[at + 12] === 0) break;
    pieces.push({
      offset: sparseNumber(block, at, at + 12),
      length: sparseNumber(block, at + 12, at + PIECE_BYTES),
    });
  }
  return pieces;
}

function sparseNumber(block: Buffer, start: number, end: number): number {
  return numberField(block, start, end, "sparse map", 0, Number.MAX_SAFE_INTEGER) ?? 0;
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", `a sparse file: ${message}`);
}
