import type { Digest } from "@stowage/content";

import type { PushedBlob } from "../push-blob.ts";

/**
 * What a copy tells of while it works. Sizes are in bytes.
 *
 * The totals are the sums of all `manifest-start`, which grow while indexes and referrers are read.
 */
export type CopyProgress =
  /** A manifest whose blobs are about to be copied. */
  | {
      readonly type: "manifest-start";
      readonly digest: Digest;
      /** How many blobs it names that were not announced before. */
      readonly blobs: number;
      /** Their bytes. */
      readonly bytes: number;
    }
  | { readonly type: "blob-start"; readonly digest: Digest; readonly size: number }
  | {
      readonly type: "blob-progress";
      readonly digest: Digest;
      readonly written: number;
      readonly size: number;
      /** Address and port of the registry or mirror that it comes from, if it comes from one. */
      readonly source?: string;
    }
  | {
      readonly type: "blob-done";
      readonly digest: Digest;
      readonly size: number;
      readonly how: PushedBlob;
      readonly source?: string;
    }
  | { readonly type: "manifest-done"; readonly digest: Digest; readonly mediaType: string };
