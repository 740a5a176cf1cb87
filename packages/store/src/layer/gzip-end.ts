import { StoreError } from "../store-error.ts";

/**
 * What may stand behind the first member of a gzip stream: more members, each right behind the last,
 * and then nothing but zeros. This is the one rule, whatever decompressor is underneath: tell it of
 * the packed bytes as they go by, and at the end how many of them the decompressor took.
 */
export class GzipEnd {
  #position = 0;
  #zerosFrom = 0;

  note(chunk: Uint8Array): void {
    let last = chunk.length - 1;
    while (last >= 0 && chunk[last] === 0) last -= 1;
    if (last >= 0) this.#zerosFrom = this.#position + last + 1;
    this.#position += chunk.length;
  }

  /**
   * @param consumed - Bytes of all members, headers and trailers included.
   * @throws {@link StoreError} `ERR_STORE_DECOMPRESS` when something else follows.
   */
  check(consumed: number): void {
    if (consumed >= this.#zerosFrom) return;
    const message = `the gzip stream ends after ${consumed} bytes, and other bytes follow`;
    throw new StoreError("ERR_STORE_DECOMPRESS", message);
  }
}
