import type { Digest } from "@stowage/content";

import type { SourceProgress } from "./source-progress.ts";

/**
 * What happens during a pull, as it happens. Sizes and counts are bytes.
 *
 * A blob is announced by `blob-start` or `blob-exists`; before that by `blob-follow`, if another
 * pull or another process is getting it, whose progress is then told as its own. A layer that is here
 * already is announced once, by `layer-exists`, and its blob not at all. `blob-done` and
 * `unpack-done` follow only what has succeeded.
 */
export type PullProgress =
  | SourceProgress
  | {
      readonly type: "resolved";
      /** `host/path@digest` of the manifest that was chosen. */
      readonly canonical: string;
      readonly layers: number;
      /** The config and the layers as they are transferred. */
      readonly bytes: number;
    }
  | { readonly type: "blob-exists"; readonly digest: Digest; readonly size: number }
  | {
      readonly type: "blob-start";
      readonly digest: Digest;
      readonly size: number;
      readonly mediaType: string;
      /** What an earlier pull left here, which is not transferred again. */
      readonly received: number;
    }
  /** Another is getting it; should that one give up, `blob-start` says that this one goes on. */
  | { readonly type: "blob-follow"; readonly digest: Digest; readonly size: number }
  /** What has come was not the blob, or not to be gone on with: it comes from its first byte again. */
  | { readonly type: "blob-restart"; readonly digest: Digest; readonly size: number }
  /** Of a blob that is put together from ranges of it and from blobs that are here. */
  | {
      readonly type: "blob-reuse";
      readonly digest: Digest;
      readonly size: number;
      /** What is to be copied from blobs that are here. */
      readonly reused: number;
      /** How many ranges are to be got, one by one or together. */
      readonly ranges: number;
    }
  /** That could not be done so, or came to other bytes; what follows tells how it comes instead. */
  | { readonly type: "blob-reuse-failed"; readonly digest: Digest; readonly error: unknown }
  | {
      readonly type: "blob-progress";
      readonly digest: Digest;
      readonly received: number;
      readonly size: number;
      /** Of `received`, what was copied from blobs that are here, if anything was. */
      readonly reused?: number;
      /** Address and port of the registry or mirror that it comes from, if that is known. */
      readonly source?: string;
    }
  | {
      readonly type: "blob-done";
      readonly digest: Digest;
      readonly size: number;
      readonly reused?: number;
      readonly source?: string;
    }
  | {
      readonly type: "layer-exists";
      readonly digest: Digest;
      readonly diffID: Digest;
      readonly size: number;
    }
  | { readonly type: "unpack-start"; readonly digest: Digest; readonly diffID: Digest }
  | {
      readonly type: "unpack-progress";
      readonly digest: Digest;
      readonly diffID: Digest;
      /** Compressed bytes read, of `size`. */
      readonly read: number;
      readonly size: number;
    }
  | { readonly type: "unpack-done"; readonly digest: Digest; readonly diffID: Digest }
  /** Something odd that does not stop the pull. */
  | { readonly type: "warning"; readonly message: string }
  | { readonly type: "stored"; readonly id: Digest; readonly name: string };
