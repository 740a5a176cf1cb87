/**
 * Names of images.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docker/reference/normalize.go
 * @module
 */
import { type Digest, isDigest } from "@stowage/content";

import { DEFAULT_TAG, expandFamiliarName } from "./familiar-name.ts";
import { isIdentifier } from "./grammar.ts";
import { InvalidReferenceError } from "./invalid-reference-error.ts";
import { readDigest, readRawReference, upperCaseError } from "./raw-reference.ts";
import type { RegistryHost, Repository, RepositoryPath } from "./repository.ts";
import { parseTag, type Tag } from "./tag.ts";

/**
 * A repository and which image of it. With neither tag nor digest it names the repository only;
 * with both, the digest decides and the tag is a remark.
 */
export interface Reference {
  readonly repository: Repository;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** What text that may be a name or a digest turned out to be. */
export type AnyReference =
  | { readonly type: "digest"; readonly digest: Digest }
  | { readonly type: "reference"; readonly reference: Reference };

// Names of containers/image transports that read local files. `docker` is missing: it is an image.
const LOCAL_TRANSPORTS: ReadonlySet<string> = new Set([
  "containers-storage",
  "dir",
  "docker-archive",
  "docker-daemon",
  "oci",
  "oci-archive",
]);

/**
 * Reads a reference as people write it: `docker.io`, `library/` and nothing else are filled in.
 *
 * Text of exactly 64 hex digits is refused, since it may be the ID of an image. `sha256:…` alone is
 * *not*: as far as the grammar goes it is a repository `sha256` with a long tag, so whoever goes
 * on to ask a registry should read the text with {@link parseAnyReference} first.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_AMBIGUOUS_ID`, `ERR_REFERENCE_UPPERCASE`,
 *   `ERR_REFERENCE_INVALID`, `ERR_REFERENCE_NAME_TOO_LONG`, `ERR_REFERENCE_INVALID_DIGEST` or
 *   `ERR_REFERENCE_UNSUPPORTED_DIGEST`, for what each says.
 */
export function parseReference(text: string): Reference {
  if (isIdentifier(text)) {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_AMBIGUOUS_ID",
      text,
      "is not an image reference: 64 hex digits are the ID of an image",
    );
  }
  const { domain, remainder } = expandFamiliarName(text);
  const colon = remainder.indexOf(":");
  const name = colon === -1 ? remainder : remainder.slice(0, colon);
  if (name !== name.toLowerCase()) throw upperCaseError(text);
  const parts = readRawReference(`${domain}/${remainder}`, text);
  refuseTransport(text);
  if (parts.domain === "") {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_INVALID",
      text,
      "is not an image reference: what stands before the first slash is no host name",
    );
  }
  const { path, tag, digest } = parts;
  return {
    repository: { host: parts.domain as RegistryHost, path: path as RepositoryPath },
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * Reads a reference that must have been written in full.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_NOT_CANONICAL` if anything had to be filled
 *   in, or as {@link parseReference} does.
 */
export function parseCanonicalReference(text: string): Reference {
  const reference = parseReference(text);
  const canonical = formatReference(reference);
  if (canonical !== text) {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_NOT_CANONICAL",
      text,
      "is not the full name of an image",
      { hint: `Write ${canonical}.` },
    );
  }
  return reference;
}

/**
 * Reads a digest, the ID of an image, or a reference: 64 hex digits are a sha256 digest.
 *
 * @throws {@link InvalidReferenceError} as {@link parseReference} does.
 */
export function parseAnyReference(text: string): AnyReference {
  const digest = isIdentifier(text) ? `sha256:${text}` : text;
  if (isDigest(digest)) return { type: "digest", digest };
  return { type: "reference", reference: parseReference(text) };
}

/**
 * Reads a reference to exactly one image, as CRI does: of tag and digest the digest is kept, and
 * with neither the tag is `latest`.
 *
 * @throws {@link InvalidReferenceError} as {@link parseReference} does.
 */
export function parseDockerReference(text: string): Reference {
  return withoutTagIfDigested(withDefaultTag(parseReference(text)));
}

/** The full text: `docker.io/library/busybox:1`. Two references are equal iff these are. */
export function formatReference(reference: Reference): string {
  const { repository, tag, digest } = reference;
  const tagged = tag === undefined ? "" : `:${tag}`;
  const pinned = digest === undefined ? "" : `@${digest}`;
  return `${repository.host}/${repository.path}${tagged}${pinned}`;
}

/** Whether both name the same, however they were written. Case of the host counts. */
export function isSameReference(a: Reference, b: Reference): boolean {
  return formatReference(a) === formatReference(b);
}

/** Whether there is neither tag nor digest. */
export function isNameOnly(reference: Reference): boolean {
  return reference.tag === undefined && reference.digest === undefined;
}

/** Adds `latest` if there is neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return isNameOnly(reference) ? { ...reference, tag: DEFAULT_TAG as Tag } : reference;
}

/**
 * Sets the tag, and keeps the digest.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID_TAG`
 */
export function withTag(reference: Reference, tag: string): Reference {
  return { ...reference, tag: parseTag(tag) };
}

/**
 * Sets the digest, and keeps the tag.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID_DIGEST` or
 *   `ERR_REFERENCE_UNSUPPORTED_DIGEST`
 */
export function withDigest(reference: Reference, digest: string): Reference {
  return { ...reference, digest: readDigest(digest, digest) };
}

/** Drops tag and digest. */
export function repositoryOnly(reference: Reference): Reference {
  return { repository: reference.repository };
}

/** Drops the tag if there is a digest, which is what decides. */
export function withoutTagIfDigested(reference: Reference): Reference {
  const { repository, digest } = reference;
  return digest === undefined ? reference : { repository, digest };
}

function refuseTransport(text: string): void {
  const colon = text.indexOf(":");
  if (colon === -1 || text.includes("/") || !LOCAL_TRANSPORTS.has(text.slice(0, colon))) return;
  throw new InvalidReferenceError(
    "ERR_REFERENCE_INVALID",
    text,
    `is not an image reference: ${text.slice(0, colon)} is a transport to local files`,
    { hint: `For a repository of that name, write docker.io/library/${text}.` },
  );
}
