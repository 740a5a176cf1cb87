/**
 * A layer blob in pieces that were compressed each by itself, as its table of contents tells.
 *
 * @module
 */
import { hash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";

import { type TocEntry, TocError } from "./toc-entries.ts";

/** Bytes of a blob that are likely to be the same wherever a blob has the same in it. */
export interface BlobSegment {
  /** Stands for what is compressed in it. */
  readonly content: string;
  /** Whether content of files is among it, rather than headers alone. */
  readonly hasPayload: boolean;
  readonly offset: number;
  /** The byte behind its last. */
  readonly end: number;
}

/** How a blob is put together. */
export interface SegmentRules {
  /** Where the part that the entries are about ends. */
  readonly dataEnd: number;
  /**
   * Whether compression begins anew behind each file, too: a header is then apart from the file
   * before it. Else it is with it.
   */
  readonly isCutBehindFiles: boolean;
}

const BLOCK = 512;
const ENTRIES_A_TURN = 2_000;
/** What a file's header does not depend on. */
const NO_HEADER: ReadonlySet<string> = new Set([
  "chunkDigest",
  "chunkOffset",
  "chunkSize",
  "chunkType",
  "digest",
  "endOffset",
  "innerOffset",
  "offset",
]);

/**
 * The segments in their order, without gaps from byte 0; what is behind the last file is in none.
 *
 * @throws {@link TocError} where offsets are no offsets, or do not ascend.
 */
export async function segmentBlob(
  entries: Iterable<TocEntry>,
  rules: SegmentRules,
): Promise<readonly BlobSegment[]> {
  const cutter = new SegmentCutter(rules);
  let count = 0;
  for (const entry of entries) {
    cutter.add(entry);
    count += 1;
    if (count % ENTRIES_A_TURN === 0) await nextTurn();
  }
  return cutter.end();
}

class SegmentCutter {
  readonly #rules: SegmentRules;
  readonly #segments: BlobSegment[] = [];
  /** What is in the segment that is being filled. */
  #material: string[] = [];
  #hasPayload = false;
  #start = 0;
  /** Where the file ends whose pieces are being read, and how long it is unpacked. */
  #file: { readonly end: number; readonly size: number } | undefined;

  constructor(rules: SegmentRules) {
    this.#rules = rules;
  }

  add(entry: TocEntry): void {
    if (entry["type"] !== "chunk") {
      this.#endFile();
      this.#material.push(headerOf(entry));
    }
    const payload = payloadOf(entry);
    if (payload === undefined) return;
    const offset = offsetOf(entry, "offset");
    // Small files may share a piece.
    if (offset !== this.#start) this.#cut(offset);
    this.#material.push(payload);
    this.#hasPayload = true;
    if (!this.#rules.isCutBehindFiles || entry["type"] === "chunk") return;
    this.#file = { end: offsetOf(entry, "endOffset"), size: offsetOf(entry, "size") };
  }

  end(): readonly BlobSegment[] {
    this.#endFile();
    return this.#segments;
  }

  #endFile(): void {
    if (this.#file === undefined) return;
    const { end, size } = this.#file;
    this.#file = undefined;
    this.#cut(end);
    // The header that follows is compressed with what fills up the last block of the file.
    this.#material.push(`fill ${size % BLOCK}`);
  }

  #cut(end: number): void {
    const offset = this.#start;
    if (end <= offset || end > this.#rules.dataEnd) {
      throw new TocError(`a piece from byte ${offset} to ${end} of ${this.#rules.dataEnd}`);
    }
    const content = hash("sha256", this.#material.join("\n"), "base64");
    this.#segments.push({ content, hasPayload: this.#hasPayload, offset, end });
    this.#start = end;
    this.#material = [];
    this.#hasPayload = false;
  }
}

function headerOf(entry: TocEntry): string {
  return JSON.stringify(Object.entries(entry).filter(([name]) => !NO_HEADER.has(name)));
}

function payloadOf(entry: TocEntry): string | undefined {
  const digest = entry["chunkDigest"] ?? entry["digest"];
  if (entry["offset"] === undefined || entry["offset"] === 0) return undefined;
  if (typeof digest !== "string") throw new TocError("a piece of a file without a digest");
  return digest;
}

function offsetOf(entry: TocEntry, name: string): number {
  const value = entry[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new TocError(`${name} is no offset`);
}
