/**
 * Whether the name that a signature is for is that of the image.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-policy.json.5.md
 * @module
 */
import { errorKind } from "@stowage/content";
import {
  formatReference,
  formatRepository,
  isNameOnly,
  parseCanonicalReference,
  parseReference,
  type Reference,
} from "@stowage/reference";

import type { SignedIdentity } from "./signed-identity.ts";

/**
 * Whether `claimed`, which a signature says that it is for, is good for the image.
 *
 * @param image - as the user named it; `undefined` for one that has no such name (`dir:`, `oci:`).
 * @param claimed - what somebody wrote: it may be anything.
 */
export function matchesIdentity(
  identity: SignedIdentity,
  image: Reference | undefined,
  claimed: string,
): boolean {
  const signed = readReference(claimed);
  if (signed === undefined) return false;
  switch (identity.type) {
    case "matchExact":
      return image !== undefined && isExact(image, signed);
    case "matchRepoDigestOrExact":
      return image !== undefined && isRepoDigestOrExact(image, signed);
    case "matchRepository":
      return image !== undefined && isSameRepository(image, signed);
    case "exactReference": {
      const wanted = readReference(identity.dockerReference);
      return wanted !== undefined && isExact(wanted, signed);
    }
    case "exactRepository": {
      const wanted = readReference(identity.dockerRepository);
      return wanted !== undefined && isSameRepository(wanted, signed);
    }
    case "remapIdentity": {
      const remapped = image && remap(identity.prefix, identity.signedPrefix, image);
      return remapped !== undefined && isRepoDigestOrExact(remapped, signed);
    }
  }
}

function isExact(image: Reference, signed: Reference): boolean {
  if (isNameOnly(image) || isNameOnly(signed)) return false;
  return formatReference(image) === formatReference(signed);
}

function isRepoDigestOrExact(image: Reference, signed: Reference): boolean {
  if (image.tag !== undefined) return isExact(image, signed);
  // The digest is compared with that of the manifest elsewhere; what a tag meant then is past.
  return image.digest !== undefined && !isNameOnly(signed) && isSameRepository(image, signed);
}

function isSameRepository(image: Reference, signed: Reference): boolean {
  return formatRepository(image.repository) === formatRepository(signed.repository);
}

/** `undefined` if the new name is none that may stand as it is: nothing is filled in. */
function remap(prefix: string, signedPrefix: string, image: Reference): Reference | undefined {
  const repository = formatRepository(image.repository);
  if (repository !== prefix && !repository.startsWith(`${prefix}/`)) return image;
  const renamed = `${signedPrefix}${formatReference(image).slice(prefix.length)}`;
  return unlessInvalid(() => parseCanonicalReference(renamed));
}

function readReference(text: string): Reference | undefined {
  return unlessInvalid(() => parseReference(text));
}

function unlessInvalid(parse: () => Reference): Reference | undefined {
  try {
    return parse();
  } catch (error) {
    if (errorKind(error) === undefined) throw error;
    return undefined;
  }
}
