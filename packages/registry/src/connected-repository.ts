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
import type {
  PeekDigestOptions,
  PushManifestOptions,
  RepositoryClient,
} from "./repository-client.ts";
import { fetchSignatureFiles } from "./signature-extension.ts";
import { walkTags } from "./tags.ts";
import type { TransportOptions } from "./transport.ts";

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
