import type { Digest } from "@stowage/content";

import type { Transferred } from "./blob-transfer.ts";

/** What a pull has brought. */
export interface PulledImage {
  /** `repository@digest` of the manifest: exactly this image, for ever. */
  readonly canonical: string;
  /** The same with the digest of the index, where an index was asked for. */
  readonly indexCanonical?: string;
  /** The digest of the config. */
  readonly id: Digest;
  /** The name that now stands for the image. */
  readonly name: string;
  /** All names of the image, the latest first. */
  readonly names: readonly string[];
  readonly transferred: Transferred;
}
