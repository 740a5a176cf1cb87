/**
 * What the threads that take layers apart are told, and what they answer.
 *
 * @module
 */
import type { DigestAlgorithm } from "@stowage/content";

import type { SharedRing } from "./chunk-ring.ts";
import type { SharedGrowth } from "./growing-file.ts";
import type { LayerLimits } from "./layer-limits.ts";

/** What a thread may be asked to do. */
export type UnpackJob = DecodeJob | ApplyJob | WholeJob;

/** A blob to unpack into an archive. */
export interface DecodeJob {
  readonly type: "decode";
  readonly source: GrowingBlob | StoredBlob;
  /** Where the archive goes, in pieces. */
  readonly output: SharedRing;
  readonly limits: LayerLimits;
}

/** A blob that lies in a file. */
export interface StoredBlob {
  readonly type: "file";
  readonly path: string;
}

/** A blob that is coming in. */
export interface GrowingBlob {
  readonly type: "growing";
  /** Open for reading, until the job has been answered. */
  readonly fd: number;
  readonly growth: SharedGrowth;
  /** Bytes that there will be. */
  readonly size: number;
  /** How they are hashed on the way. */
  readonly algorithm: DigestAlgorithm;
}

/** What a blob came to; nothing, where nobody wanted the rest. */
export interface DecodedBlob {
  readonly diffID: string;
  /** Bytes of the uncompressed archive. */
  readonly diffSize: number;
}

/** An archive to make files of. */
export interface ApplyJob {
  readonly type: "apply";
  readonly archive: SharedRing;
  readonly diffDir: string;
  readonly limits: LayerLimits;
}

/** What an archive came to; nothing, where the rest never came. */
export interface AppliedArchive {
  readonly entries: number;
  readonly impliedDirectories: readonly Uint8Array[];
  readonly isRootOpaque: boolean;
  readonly skippedDevices: number;
  readonly overlayXattrs: number;
}

/** A blob to make files of, by one thread. */
export interface WholeJob extends Pick<DecodeJob, "limits" | "source">, Pick<ApplyJob, "diffDir"> {
  readonly type: "whole";
  /** Its first word becomes other than 0 when nobody wants the rest. */
  readonly givenUp: SharedArrayBuffer;
}

/** An error, in a form that crosses threads. */
export interface ThreadFailure {
  readonly code?: string | undefined;
  readonly message: string;
  readonly stack?: string | undefined;
}

/** An answer; each job ends with "done" or "failed". */
export type ThreadAnswer<Result> =
  | { readonly type: "progress"; readonly bytes: number }
  /** The digest of the blob, whose bytes have all come. */
  | { readonly type: "hashed"; readonly digest: string }
  | { readonly type: "done"; readonly result: Result }
  | { readonly type: "failed"; readonly failure: ThreadFailure };
