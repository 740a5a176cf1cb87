/**
 * Several ranges in one answer, as `multipart/byteranges`. Read strictly: each part is the range
 * that was asked for at its place, and there is no other.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14.6
 * @module
 */
import type { ByteSource } from "@stowage/content";

import { parseContentRange } from "./content-range.ts";

/** Bytes from `offset` to the one before `end`. */
export interface BlobRange {
  readonly offset: number;
  readonly end: number;
}

/** Thrown where an answer in parts is not the one that was asked for. */
export class ByteRangesError extends Error {
  override readonly name = "ByteRangesError";
}

const MAX_HEAD = 4096;
const HEAD_END = Buffer.from("\r\n\r\n");
const NONE: Buffer = Buffer.alloc(0);

/** The boundary of an answer in parts; `undefined` if it is none. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const expression =
    /^multipart\/byteranges\s*;\s*boundary=(?:"([^"\\]{1,70})"|([\w'()+,./:=?-]{1,70}))\s*$/iu;
  const match = expression.exec(contentType ?? "");
  return match?.[1] ?? match?.[2];
}

/**
 * The bytes of `ranges`, one behind the other.
 *
 * @param size - Of the whole, in bytes.
 * @throws {@link ByteRangesError}
 */
export async function* readByteRanges(
  body: ByteSource,
  boundary: string,
  ranges: readonly BlobRange[],
  size: number,
): ByteSource {
  await using parts = new PartReader(body);
  for (const { offset, end } of ranges) {
    const head = await parts.readHead();
    const [line, ...fields] = head.replace(/^\r\n/, "").split("\r\n");
    const found = fields.flatMap((field) => /^content-range:\s*(.*?)\s*$/iu.exec(field)?.[1] ?? []);
    const range = found.length === 1 ? parseContentRange(found[0] ?? "") : undefined;
    const isRight =
      line === `--${boundary}` &&
      range?.first === offset &&
      range.last === end - 1 &&
      range.total === size;
    if (!isRight) throw new ByteRangesError(`not the bytes ${offset}-${end - 1}/${size}`);
    yield* parts.readBytes(end - offset);
  }
  const rest = await parts.readRest();
  if (!rest.startsWith(`\r\n--${boundary}--`)) throw new ByteRangesError("more parts than ranges");
}

class PartReader implements AsyncDisposable {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held = NONE;

  constructor(body: ByteSource) {
    this.#iterator = body[Symbol.asyncIterator]();
  }

  /** Up to the empty line, without it. */
  async readHead(): Promise<string> {
    for (;;) {
      const end = this.#held.indexOf(HEAD_END);
      if (end !== -1 && end <= MAX_HEAD) {
        const head = this.#held.toString("latin1", 0, end);
        this.#held = this.#held.subarray(end + HEAD_END.length);
        return head;
      }
      if (this.#held.length > MAX_HEAD) throw new ByteRangesError(`a head over ${MAX_HEAD} bytes`);
      if (!(await this.#fill())) throw new ByteRangesError("fewer parts than ranges");
    }
  }

  async *readBytes(count: number): ByteSource {
    for (let left = count; left > 0;) {
      if (this.#held.length === 0 && !(await this.#fill())) {
        throw new ByteRangesError("a part is cut off");
      }
      const bytes = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(bytes.length);
      left -= bytes.length;
      yield bytes;
    }
  }

  async readRest(): Promise<string> {
    do {
      if (this.#held.length > MAX_HEAD) throw new ByteRangesError("bytes behind the last part");
    } while (await this.#fill());
    return this.#held.toString("latin1");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#iterator.return?.();
  }

  async #fill(): Promise<boolean> {
    const next = await this.#iterator.next();
    if (next.done) return false;
    const { buffer, byteOffset, byteLength } = next.value;
    const more = Buffer.from(buffer, byteOffset, byteLength);
    this.#held = this.#held.length === 0 ? more : Buffer.concat([this.#held, more]);
    return true;
  }
}
