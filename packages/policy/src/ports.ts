/**
 * What this package needs of the world, for whoever composes it to supply.
 *
 * @module
 */
import type { ContentProvider, Descriptor, Digest, FetchedManifest } from "@stowage/content";
import type { Repository, Tag } from "@stowage/reference";

import type { PolicySubject } from "./policy-subject.ts";
import type { ImageSignature } from "./signature/signature.ts";

/** Where signatures of images are found. */
export interface SignatureSource {
  /**
   * Everything that says that it signs the image, in the order of the places. Asked at most once an
   * evaluation, and only if a requirement needs it. Rejects if a place cannot be read: only one
   * that says that it has nothing has nothing.
   */
  findSignatures(
    subject: PolicySubject,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<FoundSignatures>;
}

/** What a {@link SignatureSource} found, and where it looked. */
export interface FoundSignatures {
  readonly signatures: readonly ImageSignature[];
  /** Every place that signatures of this image could be at, also those that were passed over. */
  readonly places: readonly SignaturePlace[];
}

/** One place where signatures may be. */
export interface SignaturePlace {
  readonly kind: "lookaside" | "extension" | "attachments" | "referrers" | "folder" | "store";
  /** A URL, a tag or a path, for people: all of it, so that a wrong part of it shows. */
  readonly location: string;
  /** What made that the place, as a clause: a line of `registries.d`, or that it has none. */
  readonly statedBy?: string;
  /** The folder that it is in, if that is not there at all. */
  readonly missing?: string;
  /** How many were there; absent if nobody looked. */
  readonly found?: number;
  /** Why nobody looked, as a clause. */
  readonly skipped?: string;
  /** What would make somebody look, or look elsewhere if nothing was there, as a sentence. */
  readonly remedy?: string;
}

/** The registry or other place that an image comes from, as far as signatures go. */
export interface SignatureRegistry extends ContentProvider {
  /** How people write the place, if it is no registry. No lookaside is asked about it then. */
  readonly location?: string;
  /** By its physical name: that of the mirror, if the image comes from one. */
  readonly repository: Repository;
  /** `undefined` only if the registry says that there is none. */
  findManifest(
    target: Tag | Digest,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<FetchedManifest | undefined>;
  /** What refers to a manifest. */
  referrers(
    subject: Digest,
    options: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Descriptor>;
  /** Files of signatures that the registry itself keeps; `undefined` if it keeps none of any image. */
  signatureFiles(
    manifest: Digest,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly Uint8Array[] | undefined>;
}

/** Reads a file of keys or certificates; `maxBytes` is all that it may hold. */
export type KeyFileReader = (
  path: string,
  options: { readonly maxBytes: number; readonly signal?: AbortSignal | undefined },
) => Promise<Uint8Array>;
