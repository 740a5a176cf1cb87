import { digestOf } from "@stowage/content";
import { array, assert, integer, nat, property, tuple } from "fast-check";
import { describe, expect, test } from "vitest";

import type { BlobSegment } from "../src/reuse/blob-segments.ts";
import { type BlobPiece, SegmentFinder } from "../src/reuse/plan-blob.ts";

const OLD = digestOf(Buffer.from("old"));
const OTHER = digestOf(Buffer.from("other"));
const ALL = { minGap: 0, maxRanges: 1000 };

describe("the plan of a blob", () => {
  test("copies what is here, and gets the rest", () => {
    const finder = new SegmentFinder(100, segments("a10 b20 c30"));
    finder.look({ digest: OLD, segments: segments("x5 b20 a10") });
    expect(finder.share).toBe(0.3);
    expect(finder.plan(ALL)).toEqual({
      pieces: [
        { offset: 0, end: 10, from: { digest: OLD, offset: 25 } },
        { offset: 10, end: 30, from: { digest: OLD, offset: 5 } },
        { offset: 30, end: 100 },
      ],
      reused: 30,
      ranges: 1,
    });
  });

  test("takes together what follows one another there, too, and no more than that", () => {
    const finder = new SegmentFinder(60, segments("a10 b20 c30"));
    finder.look({ digest: OLD, segments: segments("x5 a10 b20") });
    finder.look({ digest: OTHER, segments: segments("x35 c30") });
    expect(finder.plan(ALL).pieces).toEqual([
      { offset: 0, end: 30, from: { digest: OLD, offset: 5 } },
      { offset: 30, end: 60, from: { digest: OTHER, offset: 35 } },
    ]);
  });

  test("gets what is shorter than a request is long, but not what a request begins behind", () => {
    const finder = new SegmentFinder(60, segments("a10 b5 c10 d5 e11 f5"));
    finder.look({ digest: OLD, segments: segments("a10 c10 e11") });
    const places = finder.plan({ minGap: 11, maxRanges: 1000 }).pieces.map(placeOf);
    expect(places).toEqual(["0-10 here", "10-30", "30-41 here", "41-60"]);
  });

  test.each([
    [3, ["0-10 here", "10-15", "15-25 here", "25-30", "30-41 here", "41-60"]],
    [2, ["0-10 here", "10-30", "30-41 here", "41-60"]],
    [1, ["0-10 here", "10-60"]],
  ])("has at most %s ranges, and gives up the least for that", (maxRanges, expected) => {
    const finder = new SegmentFinder(60, segments("a10 b5 c10 d5 e11 f5"));
    finder.look({ digest: OLD, segments: segments("a10 c10 e11") });
    const { pieces, ranges } = finder.plan({ minGap: 0, maxRanges });
    expect(pieces.map(placeOf)).toEqual(expected);
    expect(ranges).toBe(maxRanges);
  });

  test("takes nothing of a blob that has the same files in other lengths", () => {
    const finder = new SegmentFinder(60, segments("a10 b20 c30"));
    finder.look({ digest: OLD, segments: segments("a10 b20 c31") });
    expect(finder.share).toBe(0);
    // Headers may be longer by what their files' entries do not tell.
    finder.look({ digest: OLD, segments: segments("a10 b20 c31", false) });
    expect(finder.share).toBe(0.5);
  });

  test("has every byte once, whatever is here", () => {
    const blob = array(tuple(nat(9), integer({ min: 1, max: 40 })), { maxLength: 30 });
    const everyByte = property(
      blob,
      array(blob, { maxLength: 3 }),
      nat(50),
      nat(50),
      integer({ min: 1, max: 9 }),
      (wanted, donors, end, minGap, maxRanges) => {
        const of = (it: readonly (readonly [number, number])[]): readonly BlobSegment[] =>
          segments(it.map(([content, length]) => `${content}-${length}`).join(" "));
        const tiles = of(wanted);
        const size = (tiles.at(-1)?.end ?? 0) + end;
        const finder = new SegmentFinder(Math.max(size, 1), tiles);
        for (const donor of donors) finder.look({ digest: OLD, segments: of(donor) });
        const { pieces, ranges } = finder.plan({ minGap, maxRanges });
        let position = 0;
        for (const piece of pieces) {
          expect(piece.offset).toBe(position);
          expect(piece.end).toBeGreaterThan(position);
          position = piece.end;
        }
        expect(position).toBe(Math.max(size, 1));
        expect(ranges).toBeLessThanOrEqual(maxRanges);
        for (const [index, piece] of pieces.entries()) {
          if (index > 0 && piece.from === undefined) expect(pieces[index - 1]?.from).toBeDefined();
        }
      },
    );
    assert(everyByte, { numRuns: 300 });
  });
});

/** Segments one behind the other, of words that are a content and its length. */
function segments(text: string, hasPayload = true): readonly BlobSegment[] {
  let offset = 0;
  return text.split(" ").flatMap((word) => {
    const [, content = "", length = "0"] = /^(\D|\d+-)(\d+)$/.exec(word) ?? [];
    if (content === "") return [];
    const segment = { content, hasPayload, offset, end: offset + Number(length) };
    offset = segment.end;
    return [segment];
  });
}

function placeOf({ offset, end, from }: BlobPiece): string {
  return `${offset}-${end}${from === undefined ? "" : " here"}`;
}
