import type { Descriptor } from "@stowage/content";

/**
 * What a record keeps of a descriptor that a manifest has: its name for the content. The rest is as
 * long as whoever wrote the manifest likes, and every list reads all records.
 */
export function keptDescriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}
