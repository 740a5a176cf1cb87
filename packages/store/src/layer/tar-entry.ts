/**
 * An entry of an archive: its header, with what the extended headers before it say.
 *
 * @module
 */
import { StoreError } from "../store-error.ts";
import type { ArchiveXattr, PaxRecords } from "./pax-header.ts";
import type { SparseFile } from "./sparse-file.ts";
import type { TarHeader } from "./tar-header.ts";

/** What an entry is. */
export type TarEntryType =
  | "block-device"
  | "character-device"
  | "directory"
  | "fifo"
  | "file"
  | "hard-link"
  | "symlink";

/** An entry, with its extended headers applied. Names have one character for each byte. */
export interface TarEntry {
  readonly type: TarEntryType;
  readonly path: string;
  readonly linkPath: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content, holes included; 0 for all but files. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly atime: bigint;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: readonly ArchiveXattr[];
}

/** What stands before an entry and is about it. */
export interface EntryExtensions {
  readonly pax?: PaxRecords | undefined;
  readonly longName?: string | undefined;
  readonly longLink?: string | undefined;
  /** Of an `S` header. */
  readonly sparse?: SparseFile | undefined;
}

/** An entry, and what the reader has to know of its body. */
export interface FramedEntry {
  readonly entry: TarEntry;
  /** Bytes of the body as the header gives them; -1 for a blank field. */
  readonly statedBytes: number;
  readonly sparse: SparseFile | undefined;
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
  S: "file",
};

/**
 * Puts an entry together.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` for a type that layers do not have, and where
 *   two headers give one thing.
 */
export function assembleEntry(header: TarHeader, extensions: EntryExtensions): FramedEntry {
  const { pax, longName, longLink } = extensions;
  const path = pax?.sparse?.name ?? pax?.path ?? longName ?? header.name;
  const type = typeOf(header, path);
  if (pax?.path !== undefined && longName !== undefined) {
    throw invalid("an entry with two long names");
  }
  if (pax?.linkPath !== undefined && longLink !== undefined) {
    throw invalid("an entry with two long link names");
  }
  if (pax?.sparse && extensions.sparse) throw invalid("a sparse file with two maps");
  const sparse = pax?.sparse?.file ?? extensions.sparse;
  if (sparse && type !== "file") throw invalid("a sparse file that is no file");
  const statedBytes = pax?.size ?? header.size;
  if (type === "file" && statedBytes < 0) throw invalid("archive header: size is blank");
  const mtime = pax?.mtime ?? header.mtime;
  const atime = pax?.atime ?? mtime;
  const entry: TarEntry = {
    type,
    path,
    linkPath: pax?.linkPath ?? longLink ?? header.linkName,
    mode: header.mode,
    uid: pax?.uid ?? header.uid,
    gid: pax?.gid ?? header.gid,
    size: type === "file" ? (sparse?.size ?? statedBytes) : 0,
    mtime,
    atime: atime > mtime ? atime : mtime,
    major: header.major,
    minor: header.minor,
    xattrs: pax?.xattrs ?? [],
  };
  return { entry, statedBytes, sparse };
}

function typeOf(header: TarHeader, path: string): TarEntryType {
  const type = FLAG_TYPES[header.flag];
  if (type === undefined) {
    throw invalid(`entry type 0x${header.flag.charCodeAt(0).toString(16)}: unknown`);
  }
  // Archives from before ustar have no type for directories: their names end in a slash.
  if (header.flag === "\0" && path.endsWith("/")) return "directory";
  return type;
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", message);
}
