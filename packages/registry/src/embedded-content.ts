import { algorithmOf, type Descriptor, digestOf } from "@stowage/content";

// It stands in a manifest, which is no longer.
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * The content that a descriptor carries in its `data`; `undefined` if it carries none, or other bytes
 * than it names.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#properties
 */
export function embeddedContent({ data, digest, size }: Descriptor): Uint8Array | undefined {
  if (data === undefined || size > MAX_BYTES) return undefined;
  const bytes = Buffer.from(data, "base64");
  const isRight = bytes.byteLength === size && digestOf(bytes, algorithmOf(digest)) === digest;
  return isRight ? bytes : undefined;
}
