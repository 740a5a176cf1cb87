/**
 * What this package needs of the world, for whoever composes it to supply.
 *
 * @module
 */
import type {
  ByteSource,
  ContentProvider,
  Descriptor,
  Digest,
  FetchedManifest,
  OpenContentOptions,
} from "@stowage/content";
import type { Reference, Tag } from "@stowage/reference";

import type { PullOptions } from "./pull-options.ts";

/** Where images come from; usually a registry client. */
export interface ImageSource {
  /**
   * Opens the repository of `reference` with the settings in `options.source`, never with others,
   * and tells `options.onProgress` which place served or refused, as far as it knows.
   * The caller owns what is returned, and disposes of it exactly once.
   */
  open(reference: Reference, options: PullOptions): Promise<OpenedImage>;
}

/** One repository, opened on behalf of one caller. */
export interface OpenedImage extends ContentProvider, AsyncDisposable {
  /** Asks the registry, every time. */
  fetchManifest(
    target: Tag | Digest,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<FetchedManifest>;
  /**
   * Parts of a blob, each from `offset` to the byte before `end`, one behind the other and verified
   * by nobody; rejects where no parts are to be had, or not so many at once. A source that has none
   * of it delivers whole blobs only.
   */
  openRanges?(
    descriptor: Descriptor,
    ranges: readonly { readonly offset: number; readonly end: number }[],
    options?: Pick<OpenContentOptions, "onOrigin" | "signal">,
  ): ByteSource;
}

/** Refuses what the policy does not allow. */
export interface PolicyGate {
  /**
   * Rejects unless `subject` is allowed: whoever forgets to look at a verdict fails closed. Resolves
   * to what has to be kept with the image, so that it can be judged again.
   */
  requireAllowed(
    subject: PolicySubject,
    options?: { readonly signal?: AbortSignal | undefined; readonly source?: unknown },
  ): Promise<AllowedImage | void>;
}

/** What a {@link PolicyGate} wants of an image that it allowed. */
export interface AllowedImage {
  /** Kept as it is, and given back as {@link PolicySubject.signatures}. */
  readonly signatures?: Uint8Array | undefined;
}

/** What a policy judges. */
export interface PolicySubject {
  /** The name that was asked for: a policy is about names as people use them. */
  readonly reference: Reference;
  /** The manifest of the image, never an index. */
  readonly manifest: Descriptor;
  /** The index that it was chosen from. */
  readonly index?: Descriptor;
  /** Whether the image is in the store already, so that no registry need be asked. */
  readonly stored?: boolean;
  /** Where an image that is not in the store comes from. */
  readonly opened?: OpenedImage;
  /** What was kept with an image that is in the store. */
  readonly signatures?: Uint8Array;
}
