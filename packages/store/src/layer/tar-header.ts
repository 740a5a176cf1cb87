/**
 * The 512-byte header of an archive entry: v7, ustar and GNU.
 *
 * @module
 */
import { StoreError } from "../store-error.ts";
import { describeHead } from "./content-sniff.ts";

/** Bytes in a block; headers take one, and bodies are padded to whole ones. */
export const BLOCK_BYTES = 512;

/** A header as it stands, before any extended header is applied. */
export interface TarHeader {
  readonly flag: string;
  /** One character for each byte, as all names of archives. */
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** -1 when the field is blank. */
  readonly size: number;
  /** Nanoseconds since 1970, from 1970 on. */
  readonly mtime: bigint;
  readonly major: number;
  readonly minor: number;
}

const CHECKSUM_START = 148;
const CHECKSUM_END = 156;
const MAX_ID = 0xffff_fffe;
const NANOSECONDS = 1_000_000_000n;

/**
 * Reads a header.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when the checksum is wrong or a number is
 *   none, negative or out of range.
 */
export function parseTarHeader(block: Buffer): TarHeader {
  checkChecksum(block);
  const flag = String.fromCharCode(block[156] ?? 0);
  const isUstar = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? textField(block, 345, 500) : "";
  const name = textField(block, 0, 100);
  const mtime = numberField(block, 136, 148, "mtime", -Infinity, Infinity) ?? 0;
  const isDevice = flag === "3" || flag === "4";
  return {
    flag,
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkName: textField(block, 157, 257),
    mode: (numberField(block, 100, 108, "mode", 0, Number.MAX_SAFE_INTEGER) ?? 0) % 0o10000,
    uid: numberField(block, 108, 116, "uid", 0, MAX_ID) ?? 0,
    gid: numberField(block, 116, 124, "gid", 0, MAX_ID) ?? 0,
    size: numberField(block, 124, 136, "size", 0, Number.MAX_SAFE_INTEGER) ?? -1,
    mtime: BigInt(Math.min(Math.max(mtime, 0), Number.MAX_SAFE_INTEGER)) * NANOSECONDS,
    major: isDevice ? deviceField(block, 329, 337) : 0,
    minor: isDevice ? deviceField(block, 337, 345) : 0,
  };
}

/** Whether a block has the checksum of a header. */
export function isHeader(block: Buffer): boolean {
  const stated = octalNumber(block, CHECKSUM_START, CHECKSUM_END) ?? -1;
  const unsigned = checksumOf(block);
  return stated === unsigned || stated === unsigned - 256 * countHighBytes(block);
}

/** Whether a block is all zeros: two of them end an archive. */
export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(ZERO_BLOCK);
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

function checkChecksum(block: Buffer): void {
  if (isHeader(block)) return;
  throw invalid(`not an archive header: it starts with ${describeHead(block)}`);
}

/** The sum of all bytes, those of the sum itself taken for blanks. */
function checksumOf(block: Buffer): number {
  let sum = (CHECKSUM_END - CHECKSUM_START) * 0x20;
  for (let index = 0; index < BLOCK_BYTES; index += 4) {
    if (index === CHECKSUM_START) index = CHECKSUM_END;
    sum +=
      (block[index] as number) +
      (block[index + 1] as number) +
      (block[index + 2] as number) +
      (block[index + 3] as number);
  }
  return sum;
}

/** How many bytes are negative for those who summed them with a sign. */
function countHighBytes(block: Buffer): number {
  return block.reduce((count, byte, index) => {
    const isSummed = index < CHECKSUM_START || index >= CHECKSUM_END;
    return isSummed && byte > 0x7f ? count + 1 : count;
  }, 0);
}

function textField(block: Buffer, start: number, end: number): string {
  let nul = start;
  while (nul < end && block[nul] !== 0) nul += 1;
  return nul === start ? "" : block.toString("latin1", start, nul);
}

/** That a device has no such number is for those to say who know its name. */
function deviceField(block: Buffer, start: number, end: number): number {
  try {
    return numberField(block, start, end, "device", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  } catch {
    return -1;
  }
}

/**
 * Reads a number: octal digits, or binary where the first bit is set.
 *
 * @returns `undefined` for a field that is blank.
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when it is none, or out of range.
 */
export function numberField(
  block: Buffer,
  start: number,
  end: number,
  what: string,
  min: number,
  max: number,
): number | undefined {
  const first = block[start] ?? 0;
  const value = first & 0x80 ? binaryNumber(block, start, end) : octalNumber(block, start, end);
  if (value === undefined) return undefined;
  if (!(value >= min && value <= max)) throw invalid(`archive header: ${what} is out of range`);
  return value;
}

function octalNumber(block: Buffer, start: number, end: number): number | undefined {
  let index = start;
  while (index < end && (block[index] === 0x20 || block[index] === 0)) index += 1;
  if (index === end) return undefined;
  let value = 0;
  for (; index < end; index += 1) {
    const digit = (block[index] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; index < end; index += 1) {
    if (block[index] !== 0x20 && block[index] !== 0) return NaN;
  }
  return value;
}

function binaryNumber(block: Buffer, start: number, end: number): number {
  const first = block[start] ?? 0;
  const negative = (first & 0x40) !== 0;
  let value = BigInt(first & 0x3f);
  for (let index = start + 1; index < end; index += 1) {
    value = (value << 8n) | BigInt(block[index] ?? 0);
  }
  const bits = BigInt((end - start) * 8 - 2);
  return Number(negative ? value - (1n << bits) : value);
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", message);
}
