/**
 * One record, one file: what can not be read hides one object and nothing else.
 *
 * @module
 */
import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { escapeText, hasErrorCode, type JsonValue, parseJsonDocument } from "@stowage/content";

import { StoreError } from "./store-error.ts";
import { asStoreError } from "./system-failure.ts";

/** Turns the document of a record into the record; throws where it is none. */
export type RecordParser<Record> = (value: JsonValue) => Record;

/** What a directory of records holds. */
export interface RecordList<Record> {
  readonly records: readonly Record[];
  /** One error for each record that can not be read. */
  readonly damaged: readonly StoreError[];
}

const MAX_RECORD_BYTES = 8 * 1024 * 1024;

/** The bytes of a record's file. */
export function formatRecord(record: object): string {
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
  const shown = escapeText(join(basename(dirname(path)), basename(path)));
  try {
    const bytes = await readRegularFile(path);
    if (bytes === undefined) return undefined;
    return parse(parseJsonDocument(bytes, { maxBytes: MAX_RECORD_BYTES }));
  } catch (error) {
    const failure = asStoreError(error, shown);
    if (failure instanceof StoreError && !hasErrorCode(error, "ELOOP", "ENXIO")) throw failure;
    const reason = error instanceof Error ? escapeText(error.message) : "unreadable";
    throw new StoreError("ERR_STORE_CORRUPT", `record ${shown} is damaged: ${reason}`, {
      cause: error,
    });
  }
}

/**
 * Reads all records of a directory, each in the file that `fileOf` says for an entry of it.
 *
 * @param fileOf - Answers `undefined` for an entry that is none of the store's.
 */
export async function readRecords<Record>(
  directory: string,
  fileOf: (entry: string) => string | undefined,
  read: (path: string, entry: string) => Promise<Record | undefined>,
): Promise<RecordList<Record>> {
  const records: Record[] = [];
  const damaged: StoreError[] = [];
  for (const entry of (await readdir(directory)).toSorted()) {
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

async function readRegularFile(path: string): Promise<Uint8Array | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    await using file = await open(path, flags);
    const stat = await file.stat();
    if (!stat.isFile()) throw new TypeError("it is not a regular file");
    if (stat.size > MAX_RECORD_BYTES) throw new TypeError(`it has ${stat.size} bytes`);
    return await file.readFile();
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
