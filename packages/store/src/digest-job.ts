/**
 * What a thread that hashes growing files is told, and what it answers.
 *
 * @module
 */
import type { DigestAlgorithm } from "@stowage/content";

/** `id` tells one file from another. */
export type DigestOrder =
  | {
      readonly type: "begin";
      readonly id: number;
      readonly path: string;
      readonly algorithm: DigestAlgorithm;
    }
  /** So many bytes are in the file now. */
  | { readonly type: "grow"; readonly id: number; readonly to: number }
  /** It has so many bytes, and no more will come: answer. */
  | { readonly type: "finish"; readonly id: number; readonly to: number }
  /** Nobody wants to know any more. */
  | { readonly type: "drop"; readonly id: number };

/** One for each file that was finished or could not be read. */
export type DigestAnswer =
  | { readonly id: number; readonly digest: string }
  | { readonly id: number; readonly code: string | undefined; readonly message: string };
