/**
 * How signature policies and lookaside configuration find the entry for an image.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-policy.json.5.md
 * @module
 */
import { familiarReference } from "./familiar-name.ts";
import { InvalidReferenceError } from "./invalid-reference-error.ts";
import { formatReference, type Reference, withDefaultTag } from "./reference.ts";
import { formatRepository, type Repository } from "./repository.ts";

/**
 * The most specific scope of an image: `host/path:tag` or `host/path@digest`, `latest` filled in.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_TAG_AND_DIGEST` if there are both, since the
 *   scope could be either.
 */
export function scopeIdentity(reference: Reference): string {
  return formatReference(oneOfTagAndDigest(reference));
}

/**
 * The less specific scopes, nearest first: the repository, its parents, the host with its port,
 * then `*.` and each parent domain without the port. A wildcard never covers the domain it names.
 */
export function scopeNamespaces(repository: Repository): readonly string[] {
  const namespaces: string[] = [];
  const full = formatRepository(repository);
  for (let end = full.length; end !== -1; end = full.lastIndexOf("/", end - 1)) {
    namespaces.push(full.slice(0, end));
  }
  const [host = ""] = repository.host.split(":");
  for (let dot = host.indexOf("."); dot !== -1; dot = host.indexOf(".", dot + 1)) {
    namespaces.push(`*${host.slice(dot)}`);
  }
  return namespaces;
}

/**
 * What the `docker:` transport of containers tools calls the image: `//busybox:latest`.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_TAG_AND_DIGEST`, which that transport does not
 *   support.
 */
export function formatDockerTransport(reference: Reference): string {
  return `//${familiarReference(oneOfTagAndDigest(reference))}`;
}

function oneOfTagAndDigest(reference: Reference): Reference {
  if (reference.tag !== undefined && reference.digest !== undefined) {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_TAG_AND_DIGEST",
      formatReference(reference),
      "has both a tag and a digest where only one is allowed",
      { hint: "Leave the tag out: the digest decides." },
    );
  }
  return withDefaultTag(reference);
}
