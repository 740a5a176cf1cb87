/**
 * Brings the tags of one repository to another, each by itself.
 *
 * @module
 */
import type { Digest, Platform } from "@stowage/content";
import type { Tag } from "@stowage/reference";

import type { PushedBlob } from "../push-blob.ts";
import { RegistryError } from "../registry-error.ts";
import type { RepositoryClient } from "../repository-client.ts";
import type { TransportOptions } from "../transport.ts";
import { copyImage } from "./copy-image.ts";
import type { CopySource } from "./copy-place.ts";
import type { CopyProgress } from "./copy-progress.ts";
import { eachAtOnce } from "./each-at-once.ts";
import { registrySource } from "./registry-place.ts";
import { SyncTarget } from "./sync-target.ts";

/** How {@link syncRepository} syncs. */
export interface SyncRepositoryOptions extends TransportOptions {
  /** Which tags are wanted. @defaultValue all */
  readonly filter?: ((tag: Tag) => boolean) | undefined;
  /** Of each index, only the images for these, as {@link CopyImageOptions.platforms} has it. */
  readonly platforms?: readonly Platform[] | undefined;
  /** Bring what refers to the images, too; also to those that are there already. */
  readonly withReferrers?: boolean | undefined;
  /** Ask for every blob, also where the manifest that names it is there. @defaultValue false */
  readonly forceRecursive?: boolean | undefined;
  /** Write nothing, and tell what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined;
  /** Tags at once. @defaultValue 4 */
  readonly concurrency?: number | undefined;
  readonly onProgress?: ((event: CopyProgress, tag: Tag) => void) | undefined;
}

/** What became of one tag. */
export type SyncedTag =
  | {
      readonly tag: Tag;
      /** Brought; there already, with all that was asked for; or, by a dry run, still to be brought. */
      readonly status: "copied" | "pending" | "present";
      readonly digest: Digest;
      /** What the tag named there before, if it was something else. */
      readonly replaced?: Digest;
      /** That were found; without `withReferrers`, none are looked for. */
      readonly referrers: number;
      readonly blobs: Readonly<Record<PushedBlob, number>>;
      /** Bytes of the blobs that were transferred, or would be. */
      readonly bytes: number;
    }
  | {
      readonly tag: Tag;
      readonly status: "failed";
      /** What the tag names in the source, if that was learnt before. */
      readonly digest?: Digest;
      readonly error: unknown;
    };

const DEFAULT_CONCURRENCY = 4;
// The lists of referrers, and cosign's signatures, bills of materials and attestations.
const DIGEST_TAG = /^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(?:\.[a-z]+)?$/u;
const NOTHING = { referrers: 0, blobs: { existed: 0, mounted: 0, uploaded: 0 }, bytes: 0 };

/**
 * Brings the tags of `source` to `destination`, and tells of each when it is done with it; one that
 * fails does not hold up the others. Each is there whole or not at all, so that a sync that was cut
 * off goes on when it is run again. Nothing is removed from the destination.
 *
 * A tag that names the same digest on both sides, by the registries' own word, is not asked for any
 * further. Tags that are made of a digest are no images: they come with the images that they are
 * about, with `withReferrers`, or not at all.
 *
 * @throws {@link RegistryError} if the tags cannot be listed; `ERR_REGISTRY_INVALID_ARGUMENT` if
 *   source and destination are one, or nothing may be done at once.
 */
export async function* syncRepository(
  source: RepositoryClient,
  destination: RepositoryClient,
  options: SyncRepositoryOptions = {},
): AsyncGenerator<SyncedTag, void, undefined> {
  const { signal, filter = () => true, concurrency = DEFAULT_CONCURRENCY } = options;
  const { forceRecursive = false, dryRun = false } = options;
  if (!(concurrency >= 1)) throw invalid(`${concurrency} tags at once are none`);
  const [from, to] = [source.repository, destination.repository];
  if (from.host === to.host && from.path === to.path) {
    throw invalid(`${from.host}/${from.path} is source and destination at once`);
  }
  const all = new Set(await Array.fromAsync(source.tags({ signal })));
  const tags = new Set([...all].filter((tag) => !DIGEST_TAG.test(tag) && filter(tag)));
  const target = new SyncTarget(destination, { forceRecursive, dryRun });
  yield* eachAtOnce(tags, { concurrency, signal }, async (tag, stop): Promise<SyncedTag> => {
    let digest: Digest | undefined;
    try {
      const sides = { source, all, target, onDigest: (found: Digest) => (digest = found) };
      return await syncTag(sides, tag, { ...options, signal: stop });
    } catch (error) {
      stop.throwIfAborted();
      return { tag, status: "failed", ...(digest && { digest }), error };
    }
  });
}

interface Sides {
  readonly source: RepositoryClient;
  /** Every tag that the source has. */
  readonly all: ReadonlySet<Tag>;
  readonly target: SyncTarget;
  /** Told what the tag names, as soon as that is known. */
  readonly onDigest: (digest: Digest) => void;
}

async function syncTag(
  { source, all, target, onDigest }: Sides,
  tag: Tag,
  options: SyncRepositoryOptions & { readonly signal: AbortSignal },
): Promise<SyncedTag> {
  const { signal, platforms = [], withReferrers = false, forceRecursive = false } = options;
  const there = await target.digestOf(tag, { signal });
  if (there !== undefined && platforms.length === 0 && !withReferrers && !forceRecursive) {
    const here = await source.peekDigest(tag, { signal });
    if (here !== undefined) onDigest(here);
    if (here === there) return { tag, status: "present", digest: here, ...NOTHING };
  }
  const destination = target.place(tag, there);
  const { descriptor, referrers, blobs, bytes } = await copyImage(
    sourceOf({ source, all, onDigest }, tag),
    destination,
    {
      platforms: platforms.length === 0 ? undefined : platforms,
      withReferrers,
      onProgress: (event) => options.onProgress?.(event, tag),
      signal,
    },
  );
  const { digest } = descriptor;
  const isChanged = destination.changed || blobs.uploaded + blobs.mounted > 0;
  const done = options.dryRun === true ? "pending" : "copied";
  return {
    tag,
    status: isChanged ? done : "present",
    digest,
    ...(there !== undefined && there !== digest && { replaced: there }),
    referrers,
    blobs,
    bytes,
  };
}

function sourceOf({ source, all, onDigest }: Omit<Sides, "target">, tag: Tag): CopySource {
  const place = registrySource(source, tag);
  return {
    ...place,
    async fetchRoot(how) {
      const root = await place.fetchRoot(how);
      onDigest(root.descriptor.digest);
      return root;
    },
    // Most images have none of cosign's tags, and the list has told.
    findTag: async (other, how) => (all.has(other) ? place.findTag(other, how) : undefined),
  };
}

function invalid(message: string): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message);
}
