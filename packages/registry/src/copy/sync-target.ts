import type { Descriptor, Digest } from "@stowage/content";
import type { Tag } from "@stowage/reference";

import type { RepositoryClient } from "../repository-client.ts";
import { Turns } from "../turns.ts";
import type { TransportOptions } from "../transport.ts";
import type { CopyDestination } from "./copy-place.ts";
import { registryDestination } from "./registry-place.ts";

/** How a {@link SyncTarget} is written to. */
export interface SyncTargetOptions {
  /** Ask for every blob, also where the manifest that names it is there. */
  readonly forceRecursive: boolean;
  /** Write nothing. */
  readonly dryRun: boolean;
}

/** A {@link CopyDestination} that knows whether it had to change anything. */
export interface SyncPlace extends CopyDestination {
  /** Whether a manifest of it was written, also for another tag, or would have been. */
  readonly changed: boolean;
}

/**
 * The repository that a sync writes to. Its places know together what is there, so that what many
 * tags have in common is brought once.
 */
export class SyncTarget {
  readonly #repository: RepositoryClient;
  readonly #options: SyncTargetOptions;
  readonly #turns = new Turns();
  readonly #blobs = new Set<Digest>();
  /** Whether manifests are there with all that they name. */
  readonly #manifests = new Map<Digest, boolean>();
  /** Those that were not, for whatever tag. */
  readonly #written = new Set<Digest>();
  readonly #referrers = new Map<Digest, ReadonlySet<Digest>>();

  constructor(repository: RepositoryClient, options: SyncTargetOptions) {
    this.#repository = repository;
    this.#options = options;
  }

  /** What a tag names there now. */
  digestOf(tag: Tag, { signal }: TransportOptions): Promise<Digest | undefined> {
    return this.#repository.peekDigest(tag, { toWrite: true, signal });
  }

  /** @param current - what the tag names there now. */
  place(tag: Tag, current: Digest | undefined): SyncPlace {
    const { dryRun, forceRecursive } = this.#options;
    const real = registryDestination(this.#repository, tag);
    let changed = false;
    return {
      name: real.name,
      get changed() {
        return changed;
      },
      ...(!forceRecursive && {
        hasManifest: async ({ digest }, { subject, signal } = {}) => {
          const isHere = await this.#hasManifest(digest, subject, signal);
          changed ||= this.#written.has(digest);
          return isHere;
        },
      }),
      // Who comes second finds what the first has brought, or brings it if the first has failed.
      writeBlob: (descriptor, provider, how = {}) =>
        this.#turns.run(descriptor.digest, async () => {
          how.signal?.throwIfAborted();
          if (this.#blobs.has(descriptor.digest)) return "existed";
          const brought = dryRun
            ? await this.#wouldBring(descriptor, how.from?.host, how.signal)
            : await real.writeBlob(descriptor, provider, how);
          this.#blobs.add(descriptor.digest);
          return brought;
        }),
      // A registry may take a manifest for missing while it is written a second time, and then
      // refuses the list of referrers that has it.
      writeManifest: (manifest, { root = false, tag: other, signal } = {}) => {
        const { descriptor, document } = manifest;
        const { digest } = descriptor;
        const { subject } = document.kind === "index" ? document.index : document.manifest;
        return this.#turns.run(subject?.digest ?? digest, async () => {
          signal?.throwIfAborted();
          const named = root ? current : other && (await this.digestOf(other, { signal }));
          const isNamed = named === digest || (!root && other === undefined);
          const isHere = isNamed && (await this.#hasManifest(digest, subject?.digest, signal));
          changed ||= !isHere || this.#written.has(digest);
          if (isHere) return;
          this.#written.add(digest);
          if (!dryRun) await real.writeManifest(manifest, { root, tag: other, signal });
          this.#manifests.set(digest, true);
        });
      },
      commit: (how) => real.commit(how),
      [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
    };
  }

  async #hasManifest(
    digest: Digest,
    subject: Digest | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const known = this.#manifests.get(digest);
    if (known !== undefined) return known;
    const found = await this.#repository.peekDigest(digest, { toWrite: true, signal });
    // A writer that was killed may have left it out of the list that only clients keep.
    const isHere =
      found === digest &&
      (subject === undefined || (await this.#isListed(digest, subject, signal)));
    this.#manifests.set(digest, isHere);
    return isHere;
  }

  async #isListed(
    referrer: Digest,
    subject: Digest,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    let listed = this.#referrers.get(subject);
    if (listed === undefined) {
      const found = await Array.fromAsync(this.#repository.referrers(subject, { signal }));
      listed = new Set(found.map(({ digest }) => digest));
      this.#referrers.set(subject, listed);
    }
    return listed.has(referrer);
  }

  async #wouldBring(
    descriptor: Descriptor,
    from: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<"existed" | "mounted" | "uploaded"> {
    if (await this.#repository.hasContent(descriptor, { signal })) return "existed";
    return from === this.#repository.repository.host ? "mounted" : "uploaded";
  }
}
