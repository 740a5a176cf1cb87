/**
 * Which bytes of a blob are got, and which are copied from blobs that are here.
 *
 * @module
 */
import type { Digest } from "@stowage/content";

import type { BlobSegment } from "./blob-segments.ts";

/** A blob that is here, and what is in it. */
export interface Donor {
  readonly digest: Digest;
  readonly segments: readonly BlobSegment[];
}

/** Bytes of a blob that come from one place. */
export interface BlobPiece {
  readonly offset: number;
  /** The byte behind the last. */
  readonly end: number;
  /** Where they are here; none if they have to be got. */
  readonly from?: { readonly digest: Digest; readonly offset: number };
}

/** How a blob is put together. */
export interface BlobPlan {
  /** In their order, without gaps. */
  readonly pieces: readonly BlobPiece[];
  /** Bytes that are here. */
  readonly reused: number;
  /** Pieces that have to be got. */
  readonly ranges: number;
}

/** The caps of {@link planBlob}. */
export interface PlanLimits {
  /** Less than this between two ranges is got with them: a request takes as long. */
  readonly minGap?: number | undefined;
  readonly maxRanges?: number | undefined;
}

const DEFAULT_MIN_GAP = 16 * 1024;
const DEFAULT_MAX_RANGES = 256;
/** How many of a donor's files may be packed otherwise, of those that both have. */
const MAX_UNLIKE = 0.05;

/** Finds segments of a blob in others. */
export class SegmentFinder {
  readonly #size: number;
  readonly #segments: readonly BlobSegment[];
  readonly #wanted = new Map<string, number>();
  readonly #found = new Map<string, { readonly digest: Digest; readonly offset: number }>();
  #foundBytes = 0;

  constructor(size: number, segments: readonly BlobSegment[]) {
    this.#size = size;
    this.#segments = segments;
    for (const { content, offset, end } of segments) this.#wanted.set(content, end - offset);
  }

  /** How much of the blob's segments is found, from 0 to 1. */
  get share(): number {
    return this.#foundBytes / this.#size;
  }

  /**
   * Looks through one more. One that has the same files in other lengths comes from another
   * compressor, or was compressed in another way: nothing of it is taken.
   */
  look({ digest, segments }: Donor): void {
    const alike = new Map<string, BlobSegment>();
    let unlike = 0;
    for (const segment of segments) {
      const length = this.#wanted.get(segment.content);
      if (length === undefined) continue;
      if (length === segment.end - segment.offset) alike.set(segment.content, segment);
      else if (segment.hasPayload) unlike += 1;
    }
    if (unlike > alike.size * MAX_UNLIKE) return;
    for (const [content, { offset }] of alike) {
      if (!this.#found.has(content)) this.#found.set(content, { digest, offset });
    }
    this.#foundBytes = 0;
    for (const { content, offset, end } of this.#segments) {
      if (this.#found.has(content)) this.#foundBytes += end - offset;
    }
  }

  plan(limits: PlanLimits = {}): BlobPlan {
    const { minGap = DEFAULT_MIN_GAP, maxRanges = DEFAULT_MAX_RANGES } = limits;
    const runs = new Runs();
    for (const { content, offset, end } of this.#segments) {
      runs.add({ offset, end, from: this.#found.get(content) });
    }
    runs.add({ offset: this.#segments.at(-1)?.end ?? 0, end: this.#size, from: undefined });
    const pieces = runs.pieces(minGap, maxRanges);
    return {
      pieces,
      reused: pieces.reduce((sum, { from, offset, end }) => sum + (from ? end - offset : 0), 0),
      ranges: pieces.filter(({ from }) => from === undefined).length,
    };
  }
}

interface Found {
  readonly offset: number;
  readonly end: number;
  readonly from: BlobPiece["from"] | undefined;
}

/** Pieces that are here, each with all that follow it up to one that is not; and the reverse. */
class Runs {
  readonly #runs: { isHere: boolean; readonly pieces: BlobPiece[] }[] = [];

  add({ offset, end, from }: Found): void {
    if (end === offset) return;
    const isHere = from !== undefined;
    let run = this.#runs.at(-1);
    if (run?.isHere !== isHere) this.#runs.push((run = { isHere, pieces: [] }));
    const last = run.pieces.at(-1);
    if (last !== undefined && isContinued(last, from)) {
      run.pieces[run.pieces.length - 1] = { ...last, end };
    } else run.pieces.push({ offset, end, ...(from && { from }) });
  }

  /** Short runs that are here become part of what is got, if that spares a request. */
  pieces(minGap: number, maxRanges: number): readonly BlobPiece[] {
    // The first run spares none: what is got begins behind it.
    const between = this.#runs.slice(1).filter(({ isHere }) => isHere);
    const byLength = between.toSorted((one, other) => lengthOf(one) - lengthOf(other));
    const few = byLength.length - (maxRanges - 1);
    for (const [index, run] of byLength.entries()) {
      if (index < few || lengthOf(run) < minGap) run.isHere = false;
    }
    const pieces: BlobPiece[] = [];
    let isGot = false;
    for (const run of this.#runs) {
      if (run.isHere) pieces.push(...run.pieces);
      else if (isGot) pieces.push({ offset: pieces.pop()?.offset ?? 0, end: endOf(run) });
      else pieces.push({ offset: run.pieces[0]?.offset ?? 0, end: endOf(run) });
      isGot = !run.isHere;
    }
    return pieces;
  }
}

function isContinued(last: BlobPiece, from: BlobPiece["from"] | undefined): boolean {
  if (last.from === undefined || from === undefined) return last.from === from;
  const { digest, offset } = last.from;
  return from.digest === digest && from.offset === offset + (last.end - last.offset);
}

function endOf({ pieces }: { readonly pieces: readonly BlobPiece[] }): number {
  return pieces.at(-1)?.end ?? 0;
}

function lengthOf(run: { readonly pieces: readonly BlobPiece[] }): number {
  return endOf(run) - (run.pieces[0]?.offset ?? 0);
}
