/**
 * Names under which images are kept: always full, and always with a tag or a digest.
 *
 * @module
 */
import type { Descriptor, Digest } from "@stowage/content";
import {
  formatReference,
  formatRepository,
  parseAnyReference,
  parseCanonicalReference,
  type Reference,
  withDefaultTag,
  withoutTagIfDigested,
} from "@stowage/reference";
import type { ImageManifestRecord, ImageRecord } from "@stowage/store";

import { ImageError } from "./image-error.ts";

/** The names of one image, latest first, with what is wrong with those that cannot be read. */
export interface ImageNames {
  readonly all: readonly string[];
  readonly references: readonly Reference[];
  readonly unreadable: readonly string[];
}

/** A way by which an image can be named for ever. */
export interface CanonicalNames {
  /** `repository@digest` of the manifest. */
  readonly canonical: string;
  /** The same with the digest of the index that was asked for. */
  readonly indexCanonical?: string;
}

/**
 * Reads what somebody wants to pull; `latest` is filled in.
 *
 * @throws {@link ImageError} `ERR_IMAGE_INVALID_ARGUMENT` for an image ID or a bare digest, which
 *   no registry can look up; {@link InvalidReferenceError} for what is no reference.
 */
export function parseSourceReference(text: string): Reference {
  const any = parseAnyReference(text);
  if (any.type === "digest") {
    throw new ImageError("ERR_IMAGE_INVALID_ARGUMENT", `${any.digest}: names no repository`, {
      hint: "Write the repository too, as in docker.io/library/busybox@sha256:….",
    });
  }
  return withDefaultTag(any.reference);
}

/** The name that a pull of `reference` stores: of tag and digest the digest decides. */
export function storedName(reference: Reference): string {
  return formatReference(withoutTagIfDigested(withDefaultTag(reference)));
}

/** `repository@digest`. */
export function canonicalName(repository: string, manifest: Descriptor): string {
  return `${repository}@${manifest.digest}`;
}

/** Sorts out names as they stand in the store; an unreadable one spoils no other. */
export function readNames(names: readonly string[]): ImageNames {
  const all: string[] = [];
  const references: Reference[] = [];
  const unreadable: string[] = [];
  for (const name of names) {
    const reference = readName(name);
    if (reference === undefined) {
      unreadable.push(name);
    } else {
      all.push(name);
      references.push(reference);
    }
  }
  return { all, references, unreadable };
}

/** The tags among the names, sorted. */
export function tagNames(names: ImageNames): readonly string[] {
  return names.references
    .filter(({ digest }) => digest === undefined)
    .map(formatReference)
    .sort();
}

/** Every repository of the names with every digest of the image, sorted. */
export function repoDigests(names: ImageNames, record: ImageRecord): readonly string[] {
  const digests = record.manifests.flatMap(digestsOf);
  const found = new Set(
    names.references.flatMap((reference) => [
      ...(reference.digest === undefined ? [] : [formatReference(reference)]),
      ...digests.map((digest) => `${formatRepository(reference.repository)}@${digest}`),
    ]),
  );
  return [...found].sort();
}

/**
 * How the image is named for ever, as seen from `asked`. Without it the first tag speaks, else the
 * first digest name, else the repository that the image was pulled from.
 */
export function canonicalNames(
  names: ImageNames,
  record: ImageRecord,
  asked?: Reference,
): CanonicalNames | undefined {
  const speaker =
    asked ?? names.references.find(({ digest }) => digest === undefined) ?? names.references[0];
  const repository = speaker && formatRepository(speaker.repository);
  const way = chooseManifest(record, repository, speaker?.digest);
  const home = repository ?? way?.repository;
  if (way === undefined || home === undefined) return undefined;
  const { manifest } = way;
  const siblings = record.manifests.filter((other) => other.manifest.digest === manifest.digest);
  const index = way.index ?? siblings.find((sibling) => sibling.index !== undefined)?.index;
  return {
    canonical: canonicalName(home, manifest),
    ...(index && { indexCanonical: canonicalName(home, index) }),
  };
}

/** The way that `digest` names, else the latest one through `repository`, else the latest. */
export function chooseManifest(
  record: ImageRecord,
  repository?: string,
  digest?: Digest,
): ImageManifestRecord | undefined {
  const { manifests } = record;
  const named = digest && manifests.filter((way) => digestsOf(way).includes(digest));
  const ways = named && named.length > 0 ? named : manifests;
  return ways.find((way) => way.repository === repository) ?? ways[0];
}

/** The digests that one way of getting at an image goes through. */
export function digestsOf(way: ImageManifestRecord): readonly Digest[] {
  return way.index ? [way.manifest.digest, way.index.digest] : [way.manifest.digest];
}

function readName(name: string): Reference | undefined {
  try {
    const reference = parseCanonicalReference(name);
    const { tag, digest } = reference;
    return (tag === undefined) === (digest === undefined) ? undefined : reference;
  } catch {
    return undefined;
  }
}
