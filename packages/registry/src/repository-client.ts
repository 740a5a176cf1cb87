import {
  asVerified,
  type ByteSource,
  type ContentProvider,
  type Descriptor,
  type Digest,
  type FetchedManifest,
  hasErrorCode,
  isDigest,
  type OpenContentOptions,
} from "@stowage/content";
import { formatRepository, type Repository, type Tag } from "@stowage/reference";

import { openBlobRanges, type OpenRangeOptions } from "./blob-ranges.ts";
import { openBlob } from "./blobs.ts";
import type { BlobRange } from "./byte-ranges.ts";
import { deleteBlob, deleteManifest } from "./delete-content.ts";
import { embeddedContent } from "./embedded-content.ts";
import { fetchManifest, peekDigest } from "./manifests.ts";
import { withMirrors } from "./mirror-failure.ts";
import { hasBlob, pushBlob, type PushBlobOptions, type PushedBlob } from "./push-blob.ts";
import type { RateLimit } from "./rate-limit.ts";
import { pushManifest } from "./push-manifest.ts";
import {
  addToFallback,
  referrerDescriptor,
  type ReferrersOptions,
  removeFromFallback,
  walkReferrers,
} from "./referrers.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import type { RegistryEvent } from "./registry-event.ts";
import { fetchSignatureFiles } from "./signature-extension.ts";
import { walkTags } from "./tags.ts";
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

/** Where a repository is read: its mirrors, asked in order, and itself. */
export interface RepositorySources {
  readonly mirrors: readonly RegistryConnection[];
  readonly primary: RegistryConnection;
}

/** What a {@link ConnectedRepository} is made of. */
export interface ConnectedRepositoryOptions {
  readonly repository: Repository;
  /** Where to read for a tag or for content by its digest; or what is asked by neither. */
  readonly sources: (target?: Tag | Digest) => RepositorySources;
  /** Where to write. */
  readonly primary: RegistryConnection;
  readonly maxRangesPerBlob?: number | undefined;
  readonly onEvent?: ((event: RegistryEvent) => void) | undefined;
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

/** The {@link RepositoryClient} over connections. */
export class ConnectedRepository implements RepositoryClient {
  readonly repository: Repository;
  readonly #options: ConnectedRepositoryOptions;
  /** Mirrors that had a part in delivering other bytes than a blob's; not asked again. */
  readonly #suspects = new Set<RegistryConnection>();
  #delivered: RegistryConnection | undefined;

  constructor(options: ConnectedRepositoryOptions) {
    this.repository = options.repository;
    this.#options = options;
  }

  get deliveredFrom(): Repository {
    return (this.#delivered ?? this.#options.sources().primary).repository;
  }

  whereDelivered(): RepositoryClient {
    const place = this.#delivered ?? this.#options.sources().primary;
    const sources = (): RepositorySources => ({ mirrors: [], primary: place });
    return new ConnectedRepository({ ...this.#options, sources });
  }

  get rateLimit(): RateLimit | undefined {
    return this.#options.primary.budget.rateLimit;
  }

  async fetchManifest(
    target: Tag | Digest,
    { signal }: TransportOptions = {},
  ): Promise<FetchedManifest> {
    return this.#attempt(target, signal, async (connection, hasAlternative) => {
      const manifest = await fetchManifest(connection, target, { signal, hasAlternative });
      const mirror = connection !== this.#options.sources(target).primary;
      this.#delivered = connection;
      const source = formatRepository(connection.repository);
      const repository = formatRepository(this.repository);
      this.#options.onEvent?.({ type: "source", repository, target, source, mirror });
      return manifest;
    });
  }

  async resolve(target: Tag | Digest, options: TransportOptions = {}): Promise<Descriptor> {
    return (await this.fetchManifest(target, options)).descriptor;
  }

  async peekDigest(
    target: Tag | Digest,
    { signal, toWrite = false }: PeekDigestOptions = {},
  ): Promise<Digest | undefined> {
    const peek = (connection: RegistryConnection, hasAlternative: boolean): Promise<Digest> =>
      peekDigest(connection, target, { signal, hasAlternative });
    try {
      return await (toWrite
        ? peek(this.#options.primary, false)
        : this.#attempt(target, signal, peek));
    } catch (error) {
      if (hasErrorCode(error, "ERR_REGISTRY_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  openContent(descriptor: Descriptor, options: OpenContentOptions = {}): ByteSource {
    const content = this.#openBlob(descriptor, options);
    return (options.offset ?? 0) === 0 ? asVerified(content, descriptor) : content;
  }

  openRanges(
    descriptor: Descriptor,
    ranges: readonly BlobRange[],
    options: OpenRangeOptions = {},
  ): ByteSource {
    const sources = this.#options.sources(descriptor.digest);
    return openBlobRanges(descriptor, ranges, this.#placesOf(sources), options);
  }

  tags({ signal }: TransportOptions = {}): AsyncIterable<Tag> {
    const { sources, onEvent } = this.#options;
    return walkTags(sources().primary, { signal, onEvent });
  }

  hasContent(
    descriptor: Pick<Descriptor, "digest" | "size">,
    options: TransportOptions = {},
  ): Promise<boolean> {
    return hasBlob(this.#options.primary, descriptor, options);
  }

  pushBlob(
    descriptor: Descriptor,
    provider: ContentProvider,
    options: PushBlobOptions = {},
  ): Promise<PushedBlob> {
    const { primary, onEvent } = this.#options;
    const { attempts, retryDelay } = primary;
    return pushBlob(primary, descriptor, provider, { ...options, attempts, retryDelay, onEvent });
  }

  async pushManifest(
    manifest: FetchedManifest,
    { tags = [], signal }: PushManifestOptions = {},
  ): Promise<Descriptor> {
    const { primary } = this.#options;
    const { descriptor, document } = manifest;
    let listed = false;
    for (const target of tags.length === 0 ? [descriptor.digest] : tags) {
      const pushed = await pushManifest(primary, manifest, target, { signal });
      listed ||= pushed.listed;
    }
    const { subject } = document.kind === "index" ? document.index : document.manifest;
    if (subject !== undefined && !listed) {
      await addToFallback(primary, subject.digest, referrerDescriptor(manifest), { signal });
    }
    return descriptor;
  }

  async deleteManifest(target: Tag | Digest, { signal }: TransportOptions = {}): Promise<void> {
    const { primary } = this.#options;
    const subject = isDigest(target) ? await this.#subjectOf(target, signal) : undefined;
    await deleteManifest(primary, target, { signal });
    if (subject !== undefined && isDigest(target)) {
      await removeFromFallback(primary, subject, target, { signal });
    }
  }

  deleteBlob(digest: Digest, options: TransportOptions = {}): Promise<void> {
    return deleteBlob(this.#options.primary, digest, options);
  }

  referrers(subject: Digest, options: ReferrersOptions = {}): AsyncIterable<Descriptor> {
    return walkReferrers(this.#options.sources().primary, subject, options);
  }

  signatureFiles(
    manifest: Digest,
    options: TransportOptions = {},
  ): Promise<readonly Uint8Array[] | undefined> {
    return fetchSignatureFiles(
      this.#delivered ?? this.#options.sources().primary,
      manifest,
      options,
    );
  }

  async #subjectOf(digest: Digest, signal: AbortSignal | undefined): Promise<Digest | undefined> {
    const { document } = await fetchManifest(this.#options.primary, digest, { signal });
    const { subject } = document.kind === "index" ? document.index : document.manifest;
    return subject?.digest;
  }

  async *#openBlob(
    descriptor: Descriptor,
    options: OpenContentOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { digest } = descriptor;
    const embedded = embeddedContent(descriptor);
    if (embedded !== undefined) {
      options.signal?.throwIfAborted();
      yield embedded.subarray(options.offset ?? 0);
      return;
    }
    const { maxRangesPerBlob, onEvent } = this.#options;
    const sources = this.#options.sources(digest);
    const { primary } = sources;
    const failures: string[] = [];
    try {
      yield* openBlob(descriptor, {
        ...options,
        sources: this.#placesOf(sources),
        primary,
        maxRanges: maxRangesPerBlob,
        onEvent,
        onMirrorFailed: (mirror, error, tampering) => {
          if (tampering) this.#suspects.add(mirror);
          failures.push(this.#tellFailed(mirror, error, tampering));
        },
      });
    } catch (error) {
      throw withMirrors(error, failures);
    }
  }

  async #attempt<Result>(
    target: Tag | Digest,
    signal: AbortSignal | undefined,
    task: (connection: RegistryConnection, hasAlternative: boolean) => Promise<Result>,
  ): Promise<Result> {
    const sources = this.#options.sources(target);
    const { primary } = sources;
    const failures: string[] = [];
    let failure: unknown;
    const places = this.#placesOf(sources);
    for (const connection of places) {
      try {
        return await task(connection, connection !== places.at(-1));
      } catch (error) {
        signal?.throwIfAborted();
        if (connection === primary) {
          failure = error;
          continue;
        }
        const tampering =
          isDigest(target) &&
          hasErrorCode(error, "ERR_CONTENT_DIGEST_MISMATCH", "ERR_CONTENT_SIZE_MISMATCH");
        failures.push(this.#tellFailed(connection, error, tampering));
      }
    }
    throw withMirrors(failure, failures);
  }

  /** Who delivered the manifest first, then the mirrors, then the repository itself. */
  #placesOf({ mirrors, primary }: RepositorySources): readonly RegistryConnection[] {
    const first = this.#delivered;
    const places = [...new Set([...(first ? [first] : []), ...mirrors, primary])];
    return places.filter((place) => !this.#suspects.has(place));
  }

  #tellFailed(mirror: RegistryConnection, error: unknown, tampering: boolean): string {
    const repository = formatRepository(mirror.repository);
    this.#options.onEvent?.({ type: "mirror-failed", repository, error, tampering });
    return `${repository}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
