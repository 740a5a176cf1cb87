/**
 * What a thread that unpacks layers is told, and what it answers.
 *
 * @module
 */
import type { LayerLimits } from "./layer-limits.ts";

/** A layer to unpack. */
export interface UnpackJob {
  readonly blobPath: string;
  readonly diffDir: string;
  readonly limits: LayerLimits;
  /** One 32-bit number, which is not 0 once the job is to be given up. */
  readonly cancelled: SharedArrayBuffer;
}

/** What a layer came to. */
export interface UnpackResult {
  readonly diffID: string;
  /** Bytes of the uncompressed archive. */
  readonly diffSize: number;
  readonly entries: number;
  readonly impliedDirectories: readonly Uint8Array[];
  readonly isRootOpaque: boolean;
  readonly skippedDevices: number;
}

/** An error, in a form that crosses threads. */
export interface UnpackFailure {
  readonly code?: string | undefined;
  readonly message: string;
  readonly stack?: string | undefined;
}

/** An answer; each job ends with one that is no progress. */
export type UnpackAnswer =
  | { readonly type: "progress"; readonly bytes: number }
  | { readonly type: "done"; readonly result: UnpackResult }
  | { readonly type: "failed"; readonly failure: UnpackFailure }
  | { readonly type: "cancelled" };
