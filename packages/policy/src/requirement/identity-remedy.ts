import { errorKind, escapeText } from "@stowage/content";
import {
  formatReference,
  formatRepository,
  isNameOnly,
  parseReference,
  type Reference,
} from "@stowage/reference";

import { matchesIdentity } from "./reference-match.ts";
import { type RequirementSpot, showSpot } from "./requirement-spot.ts";
import { inlineJson, scopeOfCopy } from "../scope/scope-of-copy.ts";
import type { SignedIdentity } from "./signed-identity.ts";

/**
 * What would make a signature for another name count, with the JSON to write.
 *
 * @param image - as the user named it; `undefined` for one that has no such name.
 * @param claimed - what a trusted signer signed.
 */
export function identityRemedy(
  identity: SignedIdentity,
  image: Reference | undefined,
  claimed: string,
  spot: RequirementSpot,
): string {
  const name = escapeText(claimed);
  if (identity.type === "exactReference")
    return `The policy wants one for ${escapeText(identity.dockerReference)}: correct dockerReference, or have the image signed for that name.`;
  if (identity.type === "exactRepository")
    return `The policy wants one for ${escapeText(identity.dockerRepository)}: correct dockerRepository, or have the image signed for a name in it.`;
  if (image === undefined)
    return `An image in files has no name that a signature could be for: set "signedIdentity" to exactReference or exactRepository of ${name}.`;
  const turned = turnRound(identity);
  if (turned !== undefined && matchesIdentity(turned, image, claimed))
    return `prefix and signedPrefix of ${showSpot(spot)} are the wrong way round: the first is how the image is asked for, the second how it was signed. For this one, ${setTo(turned)}.`;
  const signed = readReference(claimed);
  if (signed === undefined) return `Have it signed again: ${name} is no name of an image.`;
  const [own, other] = [image, signed].map(({ repository }) => formatRepository(repository));
  if (own !== undefined && other !== undefined && remapped(identity, own) === other)
    return `The policy takes ${escapeText(own)} for ${escapeText(other)}, tag by tag: ask for it by the tag that was signed, as in ${name}, or have this one signed there as well.`;
  if (own !== other) return copyRemedy(own ?? "", other ?? "", isNameOnly(signed), spot);
  const any = setTo({ type: "matchRepository" });
  if (isNameOnly(signed)) return `It names the repository only, as cosign does: ${any}.`;
  return image.digest !== undefined && identity.type === "matchExact"
    ? `The image was asked for by its digest: ${setTo({ type: "matchRepoDigestOrExact" })}, which is the default, or ask for ${name}.`
    : `Have it signed as ${escapeText(formatReference(image))} as well, or ask for it as ${name}; or, if a signature for any tag of the repository will do, ${any}.`;
}

/** As it is if somebody took the one prefix for the other. */
function turnRound(identity: SignedIdentity): SignedIdentity | undefined {
  if (identity.type !== "remapIdentity") return undefined;
  const { type, prefix, signedPrefix } = identity;
  return { type, prefix: signedPrefix, signedPrefix: prefix };
}

/** The name that a repository was signed by, as the policy has it already. */
function remapped(identity: SignedIdentity, repository: string): string | undefined {
  if (identity.type !== "remapIdentity") return undefined;
  const { prefix, signedPrefix } = identity;
  return repository === prefix || repository.startsWith(`${prefix}/`)
    ? signedPrefix + repository.slice(prefix.length)
    : undefined;
}

/** A copy goes by the name that it was signed for elsewhere. */
function copyRemedy(own: string, other: string, isBare: boolean, spot: RequirementSpot): string {
  const [prefix, signedPrefix] = beginnings(own.split("/"), other.split("/"));
  const exact: SignedIdentity = { type: "exactRepository", dockerRepository: other };
  const byTag: SignedIdentity = { type: "remapIdentity", prefix, signedPrefix };
  const copy = `If ${escapeText(own)} is a copy of ${escapeText(other)}`;
  const added = scopeOfCopy(spot, own, exact);
  if (added === undefined)
    return `${copy}, ${setTo(exact)}${isBare ? "" : `; or, each tag by its own, ${setTo(byTag)}`}.`;
  if (isBare) return `${copy}, ${added}.`;
  const below = scopeOfCopy(spot, prefix, byTag, "short");
  return below === undefined
    ? `${copy}, ${added}; or, each tag by its own, with ${identityOf(byTag)} there.`
    : `${copy}, ${added}; or, for all below ${escapeText(prefix)}, each tag by its own, ${below}.`;
}

/** Both without what they end with alike. */
function beginnings(one: readonly string[], other: readonly string[]): readonly [string, string] {
  const isAlike = one.length > 1 && other.length > 1 && one.at(-1) === other.at(-1);
  return isAlike
    ? beginnings(one.slice(0, -1), other.slice(0, -1))
    : [one.join("/"), other.join("/")];
}

function setTo(identity: SignedIdentity): string {
  return `set ${identityOf(identity)}`;
}

function identityOf(identity: SignedIdentity): string {
  return `"signedIdentity": ${inlineJson(identity)}`;
}

function readReference(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    if (errorKind(error) === undefined) throw error;
    return undefined;
  }
}
