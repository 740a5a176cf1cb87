/**
 * Extended headers of the pax interchange format: records of `length key=value\n`.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 * @module
 */
import { isUtf8 } from "node:buffer";

import { escapeText } from "@stowage/content";

import { StoreError } from "../store-error.ts";
import type { LayerLimits } from "./layer-limits.ts";
import { decimalOf, pairPieces, type SparseFile } from "./sparse-file.ts";

/** An extended attribute as an archive has it: bytes, in a namespace not yet judged. */
export interface ArchiveXattr {
  readonly name: string;
  readonly value: Buffer;
}

/** What the records of one extended header say about the entry that follows it. */
export interface PaxRecords {
  /** One character for each byte. */
  readonly path?: string;
  readonly linkPath?: string;
  readonly size?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Nanoseconds since 1970, from 1970 on. */
  readonly mtime?: bigint;
  readonly atime?: bigint;
  readonly xattrs: readonly ArchiveXattr[];
  /** That the entry is a sparse file of GNU's. */
  readonly sparse?: SparseRecords;
}

/** The `GNU.sparse` records, which exist in three versions. */
export interface SparseRecords {
  readonly name?: string;
  readonly file: SparseFile;
}

const MAX_RECORDS = 4096;
const MAX_LENGTH_DIGITS = 7;
const MAX_XATTR_NAME_BYTES = 255;
const XATTR_PREFIX = "SCHILY.xattr.";
const SPARSE_PREFIX = "GNU.sparse.";
const MAX_SECONDS = 2n ** 53n - 1n;
const NANOSECONDS = 1_000_000_000n;
const ONCE: readonly string[] = ["path", "linkpath", "size"];

const EQUALS = 0x3d;
const NEWLINE = 0x0a;
const SPACE = 0x20;

/**
 * Reads the body of an `x` header.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when a record is malformed, when `path`,
 *   `linkpath` or `size` is given twice, or when attributes are over their limits.
 */
export function parsePaxRecords(body: Buffer, limits: LayerLimits): PaxRecords {
  const records: { -readonly [Key in keyof PaxRecords]: PaxRecords[Key] } = { xattrs: [] };
  const sparse: SparseRecord[] = [];
  const xattrs = new Map<string, Buffer>();
  const seen = new Set<string>();
  for (const { key, value } of walkRecords(body)) {
    if (ONCE.includes(key)) {
      if (seen.has(key)) throw invalid(`extended header: ${key} is given twice`);
      seen.add(key);
    }
    if (key.startsWith(XATTR_PREFIX)) {
      const name = key.slice(XATTR_PREFIX.length);
      checkXattrName(name);
      xattrs.set(name, value);
    } else if (key.startsWith(SPARSE_PREFIX)) {
      sparse.push({ key: key.slice(SPARSE_PREFIX.length), value });
    } else if (value.length > 0) {
      setRecord(records, key, value);
    }
  }
  records.xattrs = [...xattrs].map(([name, value]) => ({ name, value }));
  checkXattrLimits(records.xattrs, limits);
  if (sparse.length > 0) records.sparse = parseSparseRecords(sparse);
  return records;
}

/**
 * Checks the body of a `g` header, which says nothing that layers use.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when it is malformed, or names or sizes all
 *   entries that follow, which readers of archives understand differently.
 */
export function checkGlobalPaxRecords(body: Buffer): void {
  for (const { key } of walkRecords(body)) {
    if (ONCE.includes(key) || key.startsWith(SPARSE_PREFIX)) {
      throw invalid(`global extended header: ${key} for all entries`);
    }
  }
}

function* walkRecords(body: Buffer): Generator<{ readonly key: string; readonly value: Buffer }> {
  let count = 0;
  for (let start = 0; start < body.length;) {
    count += 1;
    if (count > MAX_RECORDS) throw invalid(`extended header: more than ${MAX_RECORDS} records`);
    const space = body.indexOf(SPACE, start);
    const digits = body.toString("latin1", start, space < 0 ? start : space);
    if (digits.length > MAX_LENGTH_DIGITS || !/^[1-9][0-9]*$/.test(digits)) {
      throw invalid("extended header: a record's length is no number");
    }
    const end = start + Number(digits);
    if (end > body.length || end <= space + 1 || body[end - 1] !== NEWLINE) {
      throw invalid("extended header: a record does not end where it says");
    }
    const equals = body.indexOf(EQUALS, space);
    if (equals < 0 || equals >= end || equals === space + 1) {
      throw invalid("extended header: a record without a key");
    }
    const key = body.toString("latin1", space + 1, equals);
    if (key.includes("\0")) throw invalid("extended header: a key with a NUL byte");
    yield { key, value: body.subarray(equals + 1, end - 1) };
    start = end;
  }
}

function setRecord(
  records: { -readonly [Key in keyof PaxRecords]: PaxRecords[Key] },
  key: string,
  value: Buffer,
): void {
  switch (key) {
    case "path":
      records.path = nameOf(value, key);
      break;
    case "linkpath":
      records.linkPath = nameOf(value, key);
      break;
    case "size":
      records.size = integerOf(value, key, Number.MAX_SAFE_INTEGER);
      break;
    case "uid":
      records.uid = integerOf(value, key, 0xffff_fffe);
      break;
    case "gid":
      records.gid = integerOf(value, key, 0xffff_fffe);
      break;
    case "mtime":
      records.mtime = timeOf(value);
      break;
    case "atime":
      records.atime = timeOf(value);
      break;
    default:
  }
}

interface SparseRecord {
  readonly key: string;
  readonly value: Buffer;
}

function parseSparseRecords(records: readonly SparseRecord[]): SparseRecords {
  const only = (key: string): Buffer | undefined => {
    const found = records.filter((record) => record.key === key);
    if (found.length > 1) throw invalid(`extended header: ${SPARSE_PREFIX}${key} is given twice`);
    return found[0]?.value;
  };
  const textOf = (key: string): string | undefined => only(key)?.toString("latin1");
  const version = `${textOf("major") ?? "0"}.${textOf("minor") ?? "x"}`;
  const name = only("name");
  const size = textOf(version === "1.0" ? "realsize" : "size");
  if (size === undefined || !["0.x", "0.0", "0.1", "1.0"].includes(version)) {
    throw invalid(`extended header: a sparse file of version ${escapeText(version, 20)}`);
  }
  const inTurn = records.filter(({ key }) => key === "offset" || key === "numbytes");
  const isPaired = inTurn.every(({ key }, index) => (key === "offset") === (index % 2 === 0));
  if (!isPaired) throw invalid("extended header: the map of a sparse file is out of order");
  const map = textOf("map");
  const numbers =
    map === undefined
      ? inTurn.map(({ value }) => value.toString("latin1"))
      : map.split(",").filter((text) => map !== "" || text !== "");
  return {
    ...(name && name.length > 0 && { name: nameOf(name, `${SPARSE_PREFIX}name`) }),
    file: { size: decimalOf(size), map: version === "1.0" ? "inBody" : pairPieces(numbers) },
  };
}

function nameOf(value: Buffer, key: string): string {
  if (value.includes(0)) throw invalid(`extended header: ${key} with a NUL byte`);
  return value.toString("latin1");
}

function integerOf(value: Buffer, key: string, max: number): number {
  const text = value.toString("latin1", 0, 32);
  const number = Number(text);
  if (value.length > 32 || !/^[0-9]+$/.test(text) || number > max) {
    throw invalid(`extended header: ${key} is not a number from 0 to ${max}`);
  }
  return number;
}

function timeOf(value: Buffer): bigint {
  const text = value.toString("latin1", 0, 64);
  const match = /^([0-9]+)(?:\.([0-9]*))?/.exec(text);
  if (!match) return 0n;
  const [, whole = "0", fraction = ""] = match;
  if (whole.length > 16) return MAX_SECONDS * NANOSECONDS;
  return BigInt(whole) * NANOSECONDS + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
}

function checkXattrName(name: string): void {
  const bytes = Buffer.from(name, "latin1");
  if (bytes.length === 0 || bytes.length > MAX_XATTR_NAME_BYTES || !isUtf8(bytes)) {
    throw invalid("extended header: the name of an attribute is empty, too long or not UTF-8");
  }
}

function checkXattrLimits(xattrs: readonly ArchiveXattr[], limits: LayerLimits): void {
  const bytes = xattrs.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
  if (xattrs.length > limits.maxXattrs || bytes > limits.maxXattrBytes) {
    throw invalid(
      `extended header: ${xattrs.length} attributes of ${bytes} bytes, over ` +
        `${limits.maxXattrs} or ${limits.maxXattrBytes}`,
    );
  }
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", message);
}
