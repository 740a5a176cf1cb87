import type {
  ByteSource,
  ContentProvider,
  Descriptor,
  Digest,
  FetchedManifest,
  OpenContentOptions,
} from "@stowage/content";
import type { Repository, Tag } from "@stowage/reference";

import type { OpenRangeOptions } from "./blob-ranges.ts";
import type { BlobRange } from "./byte-ranges.ts";
import type { PushBlobOptions, PushedBlob } from "./push-blob.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { ReferrersOptions } from "./referrers.ts";
import type { TransportOptions } from "./transport.ts";

/** How a manifest is pushed. */
export interface PushManifestOptions extends TransportOptions {
  /** Names for it; none leaves it reachable by its digest. */
  readonly tags?: readonly Tag[] | undefined;
}

/** How {@link RepositoryClient.peekDigest} asks. */
export interface PeekDigestOptions extends TransportOptions {
  /** Ask where it would be written, not where it is read. @defaultValue false */
  readonly toWrite?: boolean | undefined;
}

/**
 * One repository. Its mirrors are asked first, in order; where a manifest came from, the blobs are
 * asked for first.
 */
export interface RepositoryClient extends ContentProvider {
  /** By its logical name, whatever mirrors it has. */
  readonly repository: Repository;
  /** By the name of where the last manifest came from: a mirror's, perhaps. */
  readonly deliveredFrom: Repository;
  /**
   * The repository as the place has it that the last manifest came from, and no other: for what lies
   * beside an image there, and is not there if that place says so.
   */
  whereDelivered(): RepositoryClient;
  /** What the registry last said of how often it may be asked; mirrors are not meant. */
  readonly rateLimit: RateLimit | undefined;

  /**
   * Fetches a manifest or index with its bytes, at most 4 MiB, verified against the digest that was
   * asked for.
   *
   * @throws {@link RegistryError} as the README's table says, and
   *   {@link @stowage/content#ContentError} `ERR_CONTENT_DIGEST_MISMATCH` if the bytes are others,
   *   or as `parseManifest` does.
   */
  fetchManifest(target: Tag | Digest, options?: TransportOptions): Promise<FetchedManifest>;

  /** What a tag names now. The manifest is fetched for it, since a server's word proves nothing. */
  resolve(target: Tag | Digest, options?: TransportOptions): Promise<Descriptor>;

  /**
   * What a tag names now, or whether a digest is there, by the registry's own word: a HEAD, which
   * some do not count. `undefined` if there is nothing.
   */
  peekDigest(target: Tag | Digest, options?: PeekDigestOptions): Promise<Digest | undefined>;

  /**
   * Content by its descriptor. From offset 0 it is verified: show the bytes to nobody until the
   * iteration has ended. A broken connection is resumed by `Range` without the reader's notice, at
   * the next place if need be; a reader that gives `onRestart` is begun anew where a place turned
   * out to have other bytes.
   *
   * At most `maxConcurrentBlobs` are read from one host at once, so do not wait for one blob while
   * you hold another half-read.
   *
   * @throws {@link RegistryError} as the README's table says, and
   *   {@link @stowage/content#ContentError} `ERR_CONTENT_SIZE_MISMATCH` or
   *   `ERR_CONTENT_DIGEST_MISMATCH` if the bytes are others.
   */
  openContent(descriptor: Descriptor, options?: OpenContentOptions): ByteSource;

  /**
   * Parts of a blob, one behind the other in their full length, but verified by nobody. A broken
   * connection is taken up again, and mirrors are asked as for the whole, where it is one part;
   * several are asked for in one request at one place.
   *
   * @throws {@link RegistryError} `ERR_REGISTRY_UNSUPPORTED` where whole blobs only are delivered, or
   *   not several parts at once; or as the README's table says.
   */
  openRanges(
    descriptor: Descriptor,
    ranges: readonly BlobRange[],
    options?: OpenRangeOptions,
  ): ByteSource;

  /** All tags, in the registry's order; at most 100 000. Mirrors are not asked. */
  tags(options?: TransportOptions): AsyncIterable<Tag>;

  /** Whether the repository has this very content. Mirrors are not asked. */
  hasContent(
    descriptor: Pick<Descriptor, "digest" | "size">,
    options?: TransportOptions,
  ): Promise<boolean>;

  /**
   * Brings a blob here: by nothing if it is here, by a mount if `mountFrom` names who has it, else
   * by an upload. `provider` is asked again from an offset where an upload breaks.
   *
   * @throws {@link RegistryError} as the README's table says;
   *   {@link @stowage/content#ContentError} `ERR_CONTENT_DIGEST_MISMATCH` or
   *   `ERR_CONTENT_SIZE_MISMATCH` if the provider delivers other bytes.
   */
  pushBlob(
    descriptor: Descriptor,
    provider: ContentProvider,
    options?: PushBlobOptions,
  ): Promise<PushedBlob>;

  /**
   * Puts the very bytes of a manifest or index here; what they name must be here before. If it
   * refers to another manifest, it is among the referrers of that one afterwards, by the fall-back
   * tag where the registry keeps no list.
   *
   * @throws {@link RegistryError} as the README's table says, `ERR_REGISTRY_CONFLICT` if others
   *   keep writing the fall-back tag.
   */
  pushManifest(manifest: FetchedManifest, options?: PushManifestOptions): Promise<Descriptor>;

  /**
   * Removes a tag; or by digest a manifest, with its place in the fall-back tag of its subject.
   *
   * @throws {@link RegistryError} `ERR_REGISTRY_UNSUPPORTED` if the registry deletes nothing.
   */
  deleteManifest(target: Tag | Digest, options?: TransportOptions): Promise<void>;

  /** Removes a blob from this repository. */
  deleteBlob(digest: Digest, options?: TransportOptions): Promise<void>;

  /** What refers to `subject`, at most 10 000; of `artifactType` only if that is given. */
  referrers(subject: Digest, options?: ReferrersOptions): AsyncIterable<Descriptor>;

  /**
   * Signatures of a manifest that the registry keeps itself, as OpenShift's does; `undefined` if it
   * does not say that it keeps any. Asks where the last manifest came from.
   *
   * @throws {@link RegistryError} `ERR_REGISTRY_PROTOCOL`, `ERR_REGISTRY_TOO_LARGE`, or as the
   *   README's table says.
   */
  signatureFiles(
    manifest: Digest,
    options?: TransportOptions,
  ): Promise<readonly Uint8Array[] | undefined>;
}
