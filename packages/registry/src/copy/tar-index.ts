/**
 * Where the files of a tar archive are in it. Archives of images are flat lists of files and links;
 * nothing is unpacked.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { posix } from "node:path";

import { invalidLayout } from "./oci-layout.ts";

/** A file in an archive. */
export interface ArchivedFile {
  /** Of its first byte in the archive. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** The files of an archive under their paths, links followed. */
export type TarIndex = ReadonlyMap<string, ArchivedFile>;

/** All of an archive comes in blocks of so many bytes. */
export const BLOCK_BYTES = 512;
const MAX_ENTRIES = 100_000;
const MAX_NAME_BYTES = 64 * 1024;
const MAX_LINKS = 16;

/**
 * Reads the headers of an archive, and nothing else of it.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT` if it is no tar archive, or ends early.
 */
export async function indexTar(file: FileHandle, where: string): Promise<TarIndex> {
  const { size: end } = await file.stat();
  const files = new Map<string, ArchivedFile>();
  const links = new Map<string, string>();
  let position = 0;
  let longName: string | undefined;
  let longLink: string | undefined;
  let pax: ReadonlyMap<string, string> = new Map();
  for (let entries = 0; ; entries += 1) {
    if (entries > MAX_ENTRIES) throw invalidLayout(where, `over ${MAX_ENTRIES} entries`);
    const header = await readAt(file, position, BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) break;
    if (header.length < BLOCK_BYTES || !isTarHeader(header)) {
      const packed = header[0] === 0x1f && header[1] === 0x8b;
      throw invalidLayout(where, packed ? "it is gzip'd; gunzip it first" : "it is no tar archive");
    }
    position += BLOCK_BYTES;
    const type = String.fromCharCode(header[156] ?? 0);
    const size = Number(pax.get("size") ?? readNumber(header, 124));
    if (!Number.isSafeInteger(size) || size < 0 || position + size > end) {
      throw invalidLayout(where, "it ends within a file");
    }
    const isMeta = "xgLK".includes(type);
    if (isMeta) {
      if (size > MAX_NAME_BYTES) throw invalidLayout(where, "a header is too long");
      const bytes = await readAt(file, position, size);
      if (type === "x") pax = parsePax(bytes);
      if (type === "L") longName = text(bytes, 0, size);
      if (type === "K") longLink = text(bytes, 0, size);
    } else {
      const name = normalize(pax.get("path") ?? longName ?? nameOf(header));
      const target = pax.get("linkpath") ?? longLink ?? text(header, 157, 100);
      if (type === "0" || type === "\0" || type === "7")
        files.set(name, { offset: position, size });
      else if (type === "1") links.set(name, normalize(target));
      else if (type === "2") links.set(name, normalize(posix.join(posix.dirname(name), target)));
      pax = new Map();
      longName = longLink = undefined;
    }
    position += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  for (const name of links.keys()) {
    const target = follow(files, links, name);
    if (target !== undefined) files.set(name, target);
  }
  return files;
}

/** Up to `length` bytes; fewer at the end of the file. */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function follow(
  files: ReadonlyMap<string, ArchivedFile>,
  links: ReadonlyMap<string, string>,
  name: string,
): ArchivedFile | undefined {
  let at: string | undefined = name;
  for (let hops = 0; at !== undefined && hops < MAX_LINKS; hops += 1) {
    const target = links.get(at);
    if (target === undefined) return files.get(at);
    at = target;
  }
  return undefined;
}

/** Whether a block is the header of an entry, by its checksum. */
export function isTarHeader(header: Buffer): boolean {
  let sum = 0;
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  return sum === readNumber(header, 148, 8);
}

function readNumber(header: Buffer, at: number, length = 12): number {
  if (((header[at] ?? 0) & 0x80) !== 0) {
    // Base 256, for what octal digits cannot hold.
    return Number(header.readBigUInt64BE(at + length - 8));
  }
  const digits = text(header, at, length).trim();
  return /^[0-7]*$/u.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

function nameOf(header: Buffer): string {
  const name = text(header, 0, 100);
  const isPosix = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isPosix ? text(header, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function text(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end < 0 ? field.length : end);
}

function normalize(name: string): string {
  return posix
    .normalize(name)
    .replace(/^(?:\.?\/)+/u, "")
    .replace(/\/$/u, "");
}

function parsePax(bytes: Buffer): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, space));
    if (space < 0 || !Number.isSafeInteger(length) || length < 1 || at + length > bytes.length)
      break;
    const record = bytes.toString("utf8", space + 1, at + length - 1);
    const equals = record.indexOf("=");
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}
