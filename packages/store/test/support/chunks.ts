import { createHash } from "node:crypto";

import { type Descriptor, digestOf } from "@stowage/content";

/** The bytes of a blob of chunks, each of 1000 bytes and like no other. */
export function chunksOf(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => chunkOf(index)));
}

export function chunkOf(index: number): Buffer {
  const hash = createHash("sha256").update(String(index)).digest();
  return Buffer.alloc(1000, hash);
}

export function descriptorOfChunks(count: number): Descriptor {
  const bytes = chunksOf(count);
  return { mediaType: "application/octet-stream", digest: digestOf(bytes), size: bytes.length };
}
