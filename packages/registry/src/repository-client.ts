import {
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

import { openBlob, type ResumeEvent } from "./blobs.ts";
import { fetchManifest } from "./manifests.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { RegistryError } from "./registry-error.ts";
import { type TagsSkippedEvent, walkTags } from "./tags.ts";
import type { TransportOptions } from "./transport.ts";
import type { RetryEvent } from "./transport-retry.ts";

/** A mirror that did not deliver, so that the next place was asked. */
export interface MirrorFailedEvent {
  readonly type: "mirror-failed";
  /** `host/path` of the mirror. */
  readonly repository: string;
  readonly error: unknown;
  /** Whether it delivered other bytes than those asked for by digest. */
  readonly tampering: boolean;
}

/** What happens on the way; for logs. */
export type RegistryEvent = MirrorFailedEvent | ResumeEvent | RetryEvent | TagsSkippedEvent;

/** What a {@link ConnectedRepository} is made of. */
export interface ConnectedRepositoryOptions {
  readonly repository: Repository;
  /** The mirrors to ask before the repository itself, for a tag or for content by its digest. */
  readonly mirrors: (target: Tag | Digest) => readonly RegistryConnection[];
  readonly primary: RegistryConnection;
  readonly onEvent?: ((event: RegistryEvent) => void) | undefined;
}

/**
 * One repository. Its mirrors are asked first, in order; where a manifest came from, the blobs are
 * asked for first.
 */
export interface RepositoryClient extends ContentProvider {
  /** By its logical name, whatever mirrors it has. */
  readonly repository: Repository;

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
   * Content by its descriptor. From offset 0 it is verified: show the bytes to nobody until the
   * iteration has ended. A broken connection is resumed by `Range` without the reader's notice.
   *
   * At most `maxConcurrentBlobs` are read from one host at once, so do not wait for one blob while
   * you hold another half-read.
   *
   * @throws {@link RegistryError} as the README's table says, and
   *   {@link @stowage/content#ContentError} `ERR_CONTENT_SIZE_MISMATCH` or
   *   `ERR_CONTENT_DIGEST_MISMATCH` if the bytes are others.
   */
  openContent(descriptor: Descriptor, options?: OpenContentOptions): ByteSource;

  /** All tags, in the registry's order; at most 100 000. Mirrors are not asked. */
  tags(options?: TransportOptions): AsyncIterable<Tag>;
}

/** The {@link RepositoryClient} over connections. */
export class ConnectedRepository implements RepositoryClient {
  readonly repository: Repository;
  readonly #options: ConnectedRepositoryOptions;
  #delivered: RegistryConnection | undefined;

  constructor(options: ConnectedRepositoryOptions) {
    this.repository = options.repository;
    this.#options = options;
  }

  async fetchManifest(
    target: Tag | Digest,
    { signal }: TransportOptions = {},
  ): Promise<FetchedManifest> {
    return this.#attempt(target, signal, async (connection) => {
      const manifest = await fetchManifest(connection, target, { signal });
      this.#delivered = connection;
      return manifest;
    });
  }

  async resolve(target: Tag | Digest, options: TransportOptions = {}): Promise<Descriptor> {
    return (await this.fetchManifest(target, options)).descriptor;
  }

  openContent(descriptor: Descriptor, options: OpenContentOptions = {}): ByteSource {
    const { signal, offset } = options;
    const { onEvent } = this.#options;
    return openBlob(descriptor, {
      signal,
      offset,
      onEvent,
      attempt: (task) => this.#attempt(descriptor.digest, signal, task),
    });
  }

  tags({ signal }: TransportOptions = {}): AsyncIterable<Tag> {
    const { primary, onEvent } = this.#options;
    return walkTags(primary, { signal, onEvent });
  }

  async #attempt<Result>(
    target: Tag | Digest,
    signal: AbortSignal | undefined,
    task: (connection: RegistryConnection) => Promise<Result>,
  ): Promise<Result> {
    const { primary, onEvent } = this.#options;
    const mirrors = this.#options.mirrors(target);
    const first = this.#delivered;
    const ordered = [...new Set([...(first ? [first] : []), ...mirrors, primary])];
    const failures: string[] = [];
    let failure: unknown;
    for (const connection of ordered) {
      try {
        return await task(connection);
      } catch (error) {
        signal?.throwIfAborted();
        if (connection === primary) {
          failure = error;
          continue;
        }
        const repository = formatRepository(connection.repository);
        const tampering =
          isDigest(target) &&
          hasErrorCode(error, "ERR_CONTENT_DIGEST_MISMATCH", "ERR_CONTENT_SIZE_MISMATCH");
        failures.push(`${repository}: ${error instanceof Error ? error.message : String(error)}`);
        onEvent?.({ type: "mirror-failed", repository, error, tampering });
      }
    }
    throw failures.length === 0 ? failure : withMirrors(failure, failures);
  }
}

/** The primary's error decides; what the mirrors said is added to its message. */
function withMirrors(failure: unknown, failures: readonly string[]): unknown {
  if (!(failure instanceof RegistryError)) return failure;
  const { code, status, method, url, diagnostics, retryAfter, hint } = failure;
  const message = `${failure.message} (mirrors failed too: ${failures.join("; ")})`;
  return new RegistryError(code, message, {
    status,
    method,
    url,
    diagnostics,
    retryAfter,
    hint,
    cause: failure,
  });
}
