/**
 * Finds the frames of a zstd stream, so that each can be decompressed by itself: the decompressor of
 * the platform stops, silently, behind the first.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8878#section-3.1
 * @module
 */
import { StoreError } from "../store-error.ts";

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_WINDOW_BYTES = 2 ** 27;
const MAX_FRAME_HEADER_BYTES = 18;

/**
 * Cuts a stream into the chunks of one frame after another. Each frame must be read to its end
 * before the next is asked for. Skippable frames are left out.
 *
 * @throws {@link StoreError} `ERR_STORE_DECOMPRESS` at anything that is no frame, and at a frame that
 *   is not whole; `ERR_STORE_LIMIT_EXCEEDED` when a frame needs more memory than 128 MiB, or there
 *   are more than `maxFrames`.
 */
export function* splitZstdFrames(
  chunks: Iterable<Buffer>,
  maxFrames: number,
): Generator<Iterable<Buffer>, void, undefined> {
  const input = new ChunkInput(chunks);
  for (let frames = 1; input.fill(1); frames += 1) {
    if (frames > maxFrames) throw overLimit(`more than ${maxFrames} zstd frames`);
    requireBytes(input, 4);
    const magic = input.window.readUInt32LE(0);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      requireBytes(input, 8);
      for (const _ of input.take(8 + input.window.readUInt32LE(4)));
    } else if (magic === MAGIC) {
      yield frameChunks(input);
    } else {
      throw broken("bytes behind a zstd frame that are no frame");
    }
  }
}

function* frameChunks(input: ChunkInput): Generator<Buffer, void, undefined> {
  input.fill(MAX_FRAME_HEADER_BYTES);
  const { headerBytes, hasChecksum } = readFrameHeader(input);
  yield* input.take(headerBytes);
  for (let isLast = false; !isLast;) {
    requireBytes(input, 3);
    const blockHeader = input.window.readUIntLE(0, 3);
    isLast = (blockHeader & 1) === 1;
    const type = (blockHeader >> 1) & 3;
    if (type === 3) throw broken("a zstd block of a reserved type");
    yield* input.take(3 + (type === 1 ? 1 : blockHeader >> 3));
  }
  if (hasChecksum) yield* input.take(4);
}

function readFrameHeader(input: ChunkInput): { headerBytes: number; hasChecksum: boolean } {
  requireBytes(input, 6);
  const { window } = input;
  const descriptor = window[4] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw broken("a zstd frame with a reserved bit");
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const windowBytes = isSingleSegment ? 0 : 1;
  const headerBytes = 5 + windowBytes + dictionaryBytes + sizeBytes;
  requireBytes(input, headerBytes);
  const dictionaryStart = 5 + windowBytes;
  if (dictionaryBytes > 0 && window.readUIntLE(dictionaryStart, dictionaryBytes) !== 0) {
    throw broken("a zstd frame that needs a dictionary");
  }
  const neededBytes = isSingleSegment
    ? contentSize(window, headerBytes - sizeBytes, sizeBytes)
    : windowSize(window[5] ?? 0);
  if (neededBytes > MAX_WINDOW_BYTES) {
    throw overLimit(`a zstd frame with a window over ${MAX_WINDOW_BYTES} bytes`);
  }
  return { headerBytes, hasChecksum: (descriptor & 0x04) !== 0 };
}

function contentSize(window: Buffer, start: number, bytes: number): number {
  if (bytes === 8) return Number(window.readBigUInt64LE(start));
  return window.readUIntLE(start, bytes) + (bytes === 2 ? 256 : 0);
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Chunks, with a window on the bytes that come next. */
class ChunkInput {
  readonly #chunks: Iterator<Buffer>;
  /** The bytes that have been read and not taken. */
  window: Buffer = Buffer.alloc(0);

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Reads on until the window has `length` bytes; answers whether it has. */
  fill(length: number): boolean {
    while (this.window.length < length) {
      // Whoever reads may use the same memory for the next chunk.
      const rest = Buffer.from(this.window);
      const next = this.#chunks.next();
      if (next.done) {
        this.window = rest;
        return false;
      }
      this.window = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
    }
    return true;
  }

  *take(length: number): Generator<Buffer, void, undefined> {
    for (let left = length; left > 0;) {
      requireBytes(this, 1);
      const part = this.window.subarray(0, left);
      this.window = this.window.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }
}

function requireBytes(input: ChunkInput, length: number): void {
  if (!input.fill(length)) throw broken("a zstd stream that ends in a frame");
}

function broken(message: string): StoreError {
  return new StoreError("ERR_STORE_DECOMPRESS", message);
}

function overLimit(message: string): StoreError {
  return new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
}
