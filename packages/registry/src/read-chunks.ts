import type { ByteSource } from "@stowage/content";

/** Cuts a source into pieces of `length` bytes, the last one shorter; each is held in memory. */
export async function* readChunks(source: ByteSource, length: number): ByteSource {
  let piece = new Uint8Array(length);
  let filled = 0;
  for await (const chunk of source) {
    for (let start = 0; start < chunk.byteLength;) {
      const part = chunk.subarray(start, start + length - filled);
      piece.set(part, filled);
      filled += part.byteLength;
      start += part.byteLength;
      if (filled === length) {
        yield piece;
        piece = new Uint8Array(length);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
