import { formatPax, formatPaxTime, type PaxRecord } from "./pax-record.ts";

/** One entry of an archive, each of its fields open to abuse. */
export interface TarEntry {
  /** Text, or bytes that are none. */
  readonly name: string | Uint8Array;
  /** One of the kinds, or any type flag: a single character. @defaultValue "file" */
  readonly type?: TarEntryType | (string & {});
  /** @defaultValue 0o755 for directories, 0o644 else */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. @defaultValue 0 */
  readonly mtime?: number;
  /** Nanoseconds since 1970, written into an extended header. */
  readonly mtimeNs?: bigint;
  readonly linkName?: string | Uint8Array;
  readonly content?: Uint8Array | string;
  /** Of a device node. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** Extended attributes by their full names, written as `SCHILY.xattr` records. */
  readonly xattrs?: Readonly<Record<string, string | Uint8Array>>;
  /** More records of the extended header, after those of `mtimeNs` and `xattrs`. */
  readonly pax?: readonly PaxRecord[];
  /** Bytes laid over the header, before the checksum is taken. */
  readonly overlay?: readonly { readonly offset: number; readonly bytes: string | Uint8Array }[];
  /** Laid over the checksum's eight bytes; the right one stands there else. */
  readonly checksum?: string | Uint8Array;
}

export type TarEntryType = keyof typeof TYPE_FLAGS;

export interface TarOptions {
  /** How many blocks of zeros the archive ends with. @defaultValue 2 */
  readonly endBlocks?: number;
}

const BLOCK = 512;
const TYPE_FLAGS = {
  file: "0",
  "hard-link": "1",
  symlink: "2",
  "char-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
} as const;

/**
 * Writes an archive in the ustar format, with an extended header before the entries that ask for one.
 *
 * @throws RangeError for a name or link target of more than 100 bytes, and for numbers that their
 *   fields have no room for; `pax` has room for them.
 */
export function createTar(entries: readonly TarEntry[], options: TarOptions = {}): Buffer {
  return Buffer.concat([
    ...entries.map(formatEntry),
    Buffer.alloc((options.endBlocks ?? 2) * BLOCK),
  ]);
}

function formatEntry(entry: TarEntry): Buffer {
  const records: readonly PaxRecord[] = [
    ...(entry.mtimeNs === undefined ? [] : [["mtime", formatPaxTime(entry.mtimeNs)] as const]),
    ...Object.entries(entry.xattrs ?? {}).map(
      ([name, value]) => [`SCHILY.xattr.${name}`, value] as const,
    ),
    ...(entry.pax ?? []),
  ];
  const content = Buffer.from(entry.content ?? "");
  const own = Buffer.concat([formatHeader(entry, content.length), pad(content)]);
  if (records.length === 0) return own;
  const extension = formatPax(records);
  const before = formatHeader({ name: "PaxHeaders/entry", type: "x" }, extension.length);
  return Buffer.concat([before, pad(extension), own]);
}

function formatHeader(entry: TarEntry, size: number): Buffer {
  const { type = "file", device = { major: 0, minor: 0 } } = entry;
  const block = Buffer.alloc(BLOCK);
  writeText(block, entry.name, 0, 100);
  writeOctal(block, entry.mode ?? (type === "directory" ? 0o755 : 0o644), 100, 8);
  writeOctal(block, entry.uid ?? 0, 108, 8);
  writeOctal(block, entry.gid ?? 0, 116, 8);
  writeOctal(block, size, 124, 12);
  writeOctal(block, entry.mtime ?? 0, 136, 12);
  block.write(isKind(type) ? TYPE_FLAGS[type] : type, 156, "latin1");
  writeText(block, entry.linkName ?? "", 157, 100);
  block.write("ustar\u000000", 257, "latin1");
  writeOctal(block, device.major, 329, 8);
  writeOctal(block, device.minor, 337, 8);
  for (const { offset, bytes } of entry.overlay ?? []) Buffer.from(bytes).copy(block, offset);
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  const checksum = Buffer.from(entry.checksum ?? `${sum.toString(8).padStart(6, "0")}\0 `);
  checksum.copy(block, 148, 0, 8);
  return block;
}

function isKind(type: string): type is TarEntryType {
  return Object.hasOwn(TYPE_FLAGS, type);
}

function writeText(block: Buffer, text: string | Uint8Array, offset: number, length: number): void {
  const bytes = Buffer.from(text);
  if (bytes.length > length) throw new RangeError(`${bytes}: over ${length} bytes`);
  bytes.copy(block, offset);
}

function writeOctal(block: Buffer, value: number, offset: number, length: number): void {
  const digits = value.toString(8).padStart(length - 1, "0");
  if (value < 0 || digits.length >= length) throw new RangeError(`${value}: no room for it`);
  block.write(digits, offset, "latin1");
}

function pad(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}
