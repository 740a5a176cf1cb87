/**
 * Blobs that are put together of what is here and of what is got, where a table of contents tells
 * what is in them.
 *
 * Nothing that it tells is believed: the whole is held to the blob's digest, and is got the plain way
 * where it is not that.
 *
 * @module
 */
import type { ByteSource, ContentOrigin, Descriptor, OpenContentOptions } from "@stowage/content";
import type { Store } from "@stowage/store";

import type { OpenedImage } from "../ports.ts";
import type { PullProgress } from "../pull-progress.ts";
import { createSlots } from "../turn-queue.ts";
import { hasToc, readToc } from "./blob-toc.ts";
import { type DonorLayer, listDonorLayers, readDonors } from "./find-donors.ts";
import { type BlobPiece, type BlobPlan, type PlanLimits, SegmentFinder } from "./plan-blob.ts";
import { RangesTogether } from "./ranges-together.ts";
import { type ByteRange, RangesAhead } from "./read-ahead.ts";
import { StoredPieces } from "./stored-pieces.ts";

/** Bytes of a blob, in their order. */
export interface ArrivedChunk {
  readonly bytes: Uint8Array;
  /** Whether they were here. */
  readonly isReused: boolean;
}

/** What {@link BlobReuse} works with. */
export interface BlobReuseOptions {
  readonly store: Store;
  /** Whose images are most alike, as `host/path`. */
  readonly repository: string;
  readonly source: OpenedImage;
  readonly emit: (event: PullProgress) => void;
  /** Told of bytes that came, as they come. */
  readonly onReceived: (bytes: number) => void;
}

/** Those of a reader who can be begun anew. */
interface ResumableOptions extends OpenContentOptions {
  readonly onRestart: NonNullable<OpenContentOptions["onRestart"]>;
  readonly computeDigest: NonNullable<OpenContentOptions["computeDigest"]>;
}

/** Below this two requests more are not worth it. */
const MIN_SIZE = 256 * 1024;
/** The least part of a blob for which it is. */
const MIN_SHARE = 0.1;
/** With so much found, no other blob is looked into. */
const ENOUGH = 0.95;
/** Where ranges come together, each has a head of less than this. */
const TOGETHER: PlanLimits = { minGap: 512, maxRanges: 10_000 };
/** What has to be spared by it: not every server can, and asking costs a request. */
const MIN_SPARED = 64 * 1024;

/** What is put together, and from what. */
interface Assembly {
  readonly plan: BlobPlan;
  /** Whether all ranges are asked for in one go. */
  readonly isTogether: boolean;
  readonly tail: { readonly offset: number; readonly bytes: Buffer };
}

/** Opens the blobs of one pull. */
export class BlobReuse {
  readonly #options: BlobReuseOptions;
  /** A table of contents may be large; one is read at a time. */
  readonly #turns = createSlots(1);
  #donors: Promise<readonly DonorLayer[]> | undefined;
  #canTogether = true;

  constructor(options: BlobReuseOptions) {
    this.#options = options;
  }

  /** Whether it is worth to ask. */
  suits(descriptor: Descriptor): boolean {
    const { source } = this.#options;
    return source.openRanges !== undefined && descriptor.size >= MIN_SIZE && hasToc(descriptor);
  }

  /**
   * Opens a blob as its source does, with what can be copied from blobs that are here. A reader that
   * can not be begun anew gets it from its source alone.
   */
  async *open(
    descriptor: Descriptor,
    how: OpenContentOptions,
  ): AsyncGenerator<ArrivedChunk, void, undefined> {
    const { offset = 0, signal, onRestart, computeDigest } = how;
    const canRestart = onRestart !== undefined && computeDigest !== undefined;
    if (!canRestart) return yield* this.#plain(descriptor, how);
    const prepare = (): Promise<readonly Assembly[]> => this.#prepare(descriptor, offset, signal);
    const assemblies = await this.#turns.run(prepare, signal);
    if (assemblies.length === 0) return yield* this.#plain(descriptor, how);
    yield* this.#assembled(descriptor, assemblies, { ...how, onRestart, computeDigest });
  }

  async *#assembled(
    descriptor: Descriptor,
    assemblies: readonly Assembly[],
    how: ResumableOptions,
  ): AsyncGenerator<ArrivedChunk, void, undefined> {
    const { digest, size } = descriptor;
    const { signal, offset = 0, onRestart, computeDigest } = how;
    let received = offset;
    let isBegunAnew = false;
    for (const assembly of assemblies) {
      if (received === size) break;
      try {
        for await (const chunk of this.#read(descriptor, assembly, received, how)) {
          received += chunk.bytes.byteLength;
          yield chunk;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (assembly.isTogether) this.#canTogether = false;
        this.#options.emit({ type: "blob-reuse-failed", digest, error });
      }
    }
    if (received < size) {
      const noteRestart = async (): Promise<void> => {
        isBegunAnew = true;
        await onRestart();
      };
      const rest = { ...how, offset: received, origin: undefined, onRestart: noteRestart };
      yield* this.#plain(descriptor, rest);
    }
    // The source has verified what it has begun anew.
    if (isBegunAnew || (await computeDigest()) === digest) return;
    const error = new Error(`${digest}: what its table of contents says is not so`);
    this.#options.emit({ type: "blob-reuse-failed", digest, error });
    await onRestart();
    yield* this.#plain(descriptor, { ...how, offset: 0, origin: undefined });
  }

  async *#plain(
    descriptor: Descriptor,
    how: OpenContentOptions,
  ): AsyncGenerator<ArrivedChunk, void, undefined> {
    const { source, onReceived } = this.#options;
    for await (const bytes of source.openContent(descriptor, how)) {
      onReceived(bytes.byteLength);
      yield { bytes, isReused: false };
    }
  }

  async *#read(
    descriptor: Descriptor,
    { plan, tail, isTogether }: Assembly,
    offset: number,
    { signal, onOrigin }: OpenContentOptions,
  ): AsyncGenerator<ArrivedChunk, void, undefined> {
    const left = splitAt(plan.pieces, tail.offset)
      .filter(({ end }) => end > offset)
      .map((piece) => (piece.offset < offset ? cutStart(piece, offset) : piece));
    const gaps = left.filter(({ from, end }) => from === undefined && end <= tail.offset);
    const reused = left.reduce((sum, piece) => sum + (piece.from ? lengthOf(piece) : 0), 0);
    const { digest, size } = descriptor;
    this.#options.emit({ type: "blob-reuse", digest, size, reused, ranges: plan.ranges });
    const told = onceAnew(onOrigin);
    const open = (ranges: readonly ByteRange[], until: AbortSignal): ByteSource =>
      this.#openRanges(descriptor, ranges, until, told);
    await using stored = new StoredPieces(this.#options.store.blobs);
    await using ahead = isTogether
      ? new RangesTogether(gaps, open, signal)
      : new RangesAhead(gaps, (range, until) => open([range], until), signal);
    for (const piece of left) {
      signal?.throwIfAborted();
      const { from } = piece;
      if (from !== undefined) {
        const there = { ...from, length: lengthOf(piece) };
        for await (const bytes of stored.read(there)) yield { bytes, isReused: true };
      } else if (piece.offset >= tail.offset) {
        const [first, last] = [piece.offset - tail.offset, piece.end - tail.offset];
        yield { bytes: tail.bytes.subarray(first, last), isReused: false };
      } else {
        for await (const bytes of ahead.read(piece)) yield { bytes, isReused: false };
      }
    }
  }

  /** Finds out what can be copied: the ways to do it, of which there may be none. */
  async #prepare(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly Assembly[]> {
    const { store, repository, emit } = this.#options;
    const { digest, size } = descriptor;
    try {
      const donors = await (this.#donors ??= listDonorLayers(store, repository, signal));
      if (donors.length === 0) return [];
      const read = async (start: number): Promise<Buffer> =>
        Buffer.concat(
          await Array.fromAsync(
            this.#openRanges(descriptor, [{ offset: start, end: size }], signal),
          ),
        );
      const { segments, tail } = await readToc(descriptor, read);
      const finder = new SegmentFinder(size, segments);
      for await (const donor of readDonors(store, donors, descriptor, signal)) {
        finder.look(donor);
        if (finder.share >= ENOUGH) break;
      }
      const plan = finder.plan();
      const together = finder.plan(TOGETHER);
      const isTogether = this.#canTogether && together.reused - plan.reused >= MIN_SPARED;
      const assemblies = [
        ...(isTogether ? [{ plan: together, isTogether, tail }] : []),
        { plan, isTogether: false, tail },
      ];
      const least = (size - offset) * MIN_SHARE;
      return assemblies.filter((assembly) => reusedFrom(assembly.plan, offset) >= least);
    } catch (error) {
      signal?.throwIfAborted();
      emit({ type: "blob-reuse-failed", digest, error });
      return [];
    }
  }

  async *#openRanges(
    descriptor: Descriptor,
    ranges: readonly ByteRange[],
    signal: AbortSignal | undefined,
    onOrigin?: OpenContentOptions["onOrigin"],
  ): ByteSource {
    const { source, onReceived } = this.#options;
    if (source.openRanges === undefined) return;
    for await (const bytes of source.openRanges(descriptor, ranges, { signal, onOrigin })) {
      onReceived(bytes.byteLength);
      yield bytes;
    }
  }
}

/** Tells of a place when it is another: each telling is written down. */
function onceAnew(onOrigin: OpenContentOptions["onOrigin"]): OpenContentOptions["onOrigin"] {
  let last: ContentOrigin | undefined;
  return (origin) => {
    if (origin.url === last?.url && origin.validator === last.validator) return;
    onOrigin?.((last = origin));
  };
}

function lengthOf({ offset, end }: BlobPiece): number {
  return end - offset;
}

/** Bytes behind `offset` that are here. */
function reusedFrom({ pieces }: BlobPlan, offset: number): number {
  return pieces
    .filter(({ from, end }) => from !== undefined && end > offset)
    .reduce((sum, piece) => sum + piece.end - Math.max(piece.offset, offset), 0);
}

function cutStart(piece: BlobPiece, offset: number): BlobPiece {
  const { from } = piece;
  if (from === undefined) return { ...piece, offset };
  const moved = { ...from, offset: from.offset + (offset - piece.offset) };
  return { ...piece, offset, from: moved };
}

/** What is behind `offset` is held already, and is a piece of its own. */
function splitAt(pieces: readonly BlobPiece[], offset: number): readonly BlobPiece[] {
  return pieces.flatMap((piece) =>
    piece.offset < offset && offset < piece.end
      ? [{ ...piece, end: offset }, cutStart(piece, offset)]
      : [piece],
  );
}
