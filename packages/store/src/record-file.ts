/**
 * One record, one file: what can not be read hides one object and nothing else.
 *
 * @module
 */
import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";

import { escapeText, hasErrorCode, type JsonValue, parseJsonDocument } from "@stowage/content";

import { readFully } from "./read-fully.ts";
import { StoreError } from "./store-error.ts";
import { asStoreError, reportFailures } from "./system-failure.ts";

/** Turns the document of a record into the record; throws where it is none. */
export type RecordParser<Record> = (value: JsonValue) => Record;

/** What a directory of records holds. */
export interface RecordList<Record> {
  readonly records: readonly Record[];
  /** One error for each record that can not be read. */
  readonly damaged: readonly StoreError[];
}

const MAX_RECORD_BYTES = 8 * 1024 * 1024;
/** How many records are read before others have their turn. */
const RECORDS_AT_A_TIME = 64;
const LINE_FEED = 0x0a;

/**
 * The bytes of a record's file.
 *
 * @throws {@link StoreError} `ERR_STORE_LIMIT_EXCEEDED` where it would be too long to be read again.
 */
export function formatRecord(record: object): string {
  const text = layOut(record);
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_RECORD_BYTES) return text;
  const message = `a record would have ${bytes} bytes, and may have ${MAX_RECORD_BYTES}`;
  throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
}

function layOut(record: object): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/**
 * Reads a record.
 *
 * @returns `undefined` when there is no such file.
 * @throws {@link StoreError} `ERR_STORE_CORRUPT` when it is there and is no such record.
 */
export async function readRecord<Record>(
  path: string,
  parse: RecordParser<Record>,
): Promise<Record | undefined> {
  try {
    const bytes = readRegularFile(path);
    if (bytes === undefined) return undefined;
    return parse(readOwnFormat(bytes) ?? parseJsonDocument(bytes, { maxBytes: MAX_RECORD_BYTES }));
  } catch (error) {
    const shown = escapeText(join(basename(dirname(path)), basename(path)));
    const failure = asStoreError(error, shown);
    if (failure instanceof StoreError && !hasErrorCode(error, "ELOOP", "ENXIO")) throw failure;
    const reason = error instanceof Error ? escapeText(error.message) : "unreadable";
    throw new StoreError("ERR_STORE_CORRUPT", `record ${shown} is damaged: ${reason}`, {
      cause: error,
    });
  }
}

/**
 * What {@link formatRecord} wrote, which the engine reads several times as fast: a text that comes
 * out again to the letter has no second key, and no number that this one would not have.
 */
function readOwnFormat(bytes: Buffer): JsonValue | undefined {
  if (!isUtf8(bytes)) return undefined;
  const text = bytes.toString("utf8");
  try {
    const value = JSON.parse(text) as JsonValue;
    return typeof value === "object" && value !== null && layOut(value) === text
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads all records of a directory, each in the file that `fileOf` says for an entry of it.
 *
 * @param fileOf - Answers `undefined` for an entry that is none of the store's.
 * @throws {@link StoreError} `ERR_STORE_IO` when the directory can not be listed.
 */
export async function readRecords<Record>(
  directory: string,
  fileOf: (entry: string) => string | undefined,
  read: (path: string, entry: string) => Promise<Record | undefined>,
): Promise<RecordList<Record>> {
  const records: Record[] = [];
  const damaged: StoreError[] = [];
  const entries = await reportFailures(`${basename(directory)} can not be listed`, () =>
    readdir(directory),
  );
  for (const [index, entry] of entries.toSorted().entries()) {
    if (index > 0 && index % RECORDS_AT_A_TIME === 0) await setImmediate();
    const file = fileOf(entry);
    if (file === undefined) continue;
    try {
      const record = await read(join(directory, file), entry);
      if (record !== undefined) records.push(record);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      damaged.push(error);
    }
  }
  return { records, damaged };
}

/** At once: to hand so small a file to another thread takes several times as long as to read it. */
function readRegularFile(path: string): Buffer | undefined {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let fd: number;
  try {
    fd = openSync(path, flags);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    const length = readRecordBytes(fd);
    // Nobody waits between here and where it is parsed, so the next cannot write over it.
    if (length < shared.length && length > 0) return shared.subarray(0, length);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new TypeError("it is not a regular file");
    if (stat.size > MAX_RECORD_BYTES) throw new TypeError(`it has ${stat.size} bytes`);
    return readFileSync(fd);
  } catch (cause) {
    if (!hasErrorCode(cause, "EISDIR")) throw cause;
    throw new TypeError("it is not a regular file", { cause });
  } finally {
    closeSync(fd);
  }
}

/** Into what is shared; a record ends with a line, after which nobody has to ask for more. */
function readRecordBytes(fd: number): number {
  const length = readSync(fd, shared, 0, shared.length, 0);
  if (length < shared.length && shared[length - 1] === LINE_FEED) return length;
  return length + readFully(fd, shared.subarray(length), length);
}

/** What one record is read into; most are far shorter. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);
