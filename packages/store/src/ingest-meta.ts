/**
 * What has to be known of a partial download to go on with it, beside its bytes.
 *
 * @module
 */
import { rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { type ContentOrigin, type Digest, hasErrorCode, type JsonValue } from "@stowage/content";

import { bootId } from "./mount-record.ts";
import { publishFile, randomName, syncDirectory } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";

/** The record beside a partial download. */
export interface IngestMeta {
  readonly digest: Digest;
  /** Of the whole blob, in bytes. */
  readonly size: number;
  /** Where the bytes came from. */
  readonly origin: ContentOrigin | undefined;
  /** Bytes that a power cut cannot take back. Those behind them are whole until the next boot. */
  readonly synced: number;
  /** The boot in which they were written. */
  readonly bootId: string;
}

const FILE = "meta.json";

/** The record of a directory; one that cannot be believed is none. */
export async function readIngestMeta(directory: string): Promise<IngestMeta | undefined> {
  try {
    return await readRecord(join(directory, FILE), parseIngestMeta);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

/** Writes a record that outlives its process, but not a power cut. */
export async function writeIngestMeta(
  directory: string,
  meta: Omit<IngestMeta, "bootId">,
): Promise<void> {
  const temporary = join(directory, `.${randomName()}`);
  await writeFile(temporary, formatIngestMeta(meta), { mode: 0o600 });
  await rename(temporary, join(directory, FILE));
}

/** Writes a record that outlives a power cut, too. */
export async function syncIngestMeta(
  directory: string,
  meta: Omit<IngestMeta, "bootId">,
  stagingDir: string,
): Promise<void> {
  const bytes = formatIngestMeta(meta);
  await publishFile({ path: join(directory, FILE), bytes, stagingDir });
  await syncDirectory(dirname(directory));
}

function formatIngestMeta({ digest, size, origin, synced }: Omit<IngestMeta, "bootId">): string {
  const { url, validator } = origin ?? {};
  return formatRecord({ version: 2, digest, size, synced, bootId: bootId(), url, validator });
}

function parseIngestMeta(value: JsonValue): IngestMeta {
  const fields = ["version", "digest", "size", "synced", "bootId", "url", "validator"];
  const shape = new RecordShape(value, "ingest", fields);
  shape.version(2);
  const validator = shape.has("validator") ? shape.string("validator") : undefined;
  const url = shape.has("url") ? shape.string("url") : undefined;
  return {
    digest: shape.digest("digest"),
    size: shape.count("size"),
    origin: url === undefined ? undefined : { url, ...(validator !== undefined && { validator }) },
    synced: shape.count("synced"),
    bootId: shape.string("bootId"),
  };
}
