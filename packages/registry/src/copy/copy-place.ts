/**
 * Where images are copied from and to: registries, layouts, archives, or whatever else keeps
 * manifests and blobs.
 *
 * @module
 */
import type { ContentProvider, Descriptor, Digest, FetchedManifest } from "@stowage/content";
import type { Repository, Tag } from "@stowage/reference";

import type { PushedBlob } from "../push-blob.ts";
import type { TransportOptions } from "../transport.ts";

/** One image, and what refers to it, to be read. Whoever opened it disposes of it. */
export interface CopySource extends ContentProvider, AsyncDisposable {
  /** As people write it, for messages. */
  readonly name: string;
  /** The repository that it is or came from, so that blobs may be mounted within its registry. */
  readonly repository?: Repository | undefined;
  /** The manifest or index that the name stands for. */
  fetchRoot(options?: TransportOptions): Promise<FetchedManifest>;
  /** A manifest that an index names, or that refers to another; verified. */
  fetchManifest(descriptor: Descriptor, options?: TransportOptions): Promise<FetchedManifest>;
  /**
   * Whether it has a manifest: for sources that lack some of what an index names, of which the rest
   * is copied then. Elsewhere, what is missing fails the copy.
   */
  hasContent?(descriptor: Descriptor, options?: TransportOptions): Promise<boolean>;
  /** What refers to `subject`. */
  referrers(subject: Digest, options?: TransportOptions): AsyncIterable<Descriptor>;
  /** Signatures that are kept beside a manifest as files, where the place has such. */
  signatureFiles?(manifest: Digest, options?: TransportOptions): Promise<readonly Uint8Array[]>;
  /** What another tag of the same repository or layout stands for, if there is one. */
  findTag(tag: Tag, options?: TransportOptions): Promise<FetchedManifest | undefined>;
}

/** How {@link CopyDestination.writeBlob} writes. */
export interface WriteBlobOptions extends TransportOptions {
  /** Where the blob comes from, so that it may be mounted from there. */
  readonly from?: Repository | undefined;
  /** Told how many bytes have been written. */
  readonly onProgress?: ((written: number) => void) | undefined;
}

/** How {@link CopyDestination.writeManifest} writes. */
export interface WriteManifestOptions extends TransportOptions {
  /** Whether it is the image that is copied, to be found under the destination's own name. */
  readonly root?: boolean | undefined;
  /** A tag beside that. */
  readonly tag?: Tag | undefined;
}

/** What {@link CopyDestination.hasManifest} is asked for. */
export interface HasManifestOptions extends TransportOptions {
  /** What the manifest refers to, so that it has to be among the referrers of that. */
  readonly subject?: Digest | undefined;
}

/** A place for one image. What was not committed when it is disposed of is not there. */
export interface CopyDestination extends AsyncDisposable {
  /** As people write it, for messages. */
  readonly name: string;
  /**
   * Whether a manifest is there with all that it names: for destinations that are taken at their
   * word. Elsewhere, each blob is asked for.
   */
  hasManifest?(descriptor: Descriptor, options?: HasManifestOptions): Promise<boolean>;
  /** Takes in a blob, verified, before any manifest that names it. */
  writeBlob(
    descriptor: Descriptor,
    provider: ContentProvider,
    options?: WriteBlobOptions,
  ): Promise<PushedBlob>;
  /** Takes in the very bytes of a manifest, after all that it names. */
  writeManifest(manifest: FetchedManifest, options?: WriteManifestOptions): Promise<void>;
  /** Makes what was written the destination's content; durable when it resolves. */
  commit(options?: TransportOptions): Promise<void>;
}
