import { escapeText } from "@stowage/content";

import { type RequirementSpot, requirementAt, showSpot } from "../requirement/requirement-spot.ts";

const MAX_LISTED = 5;

/**
 * What to do about a signature by none of these keys, each as people know it.
 *
 * @param gpgKey - the key that it says that it is by, if it is for gpg to export.
 */
export function otherKeyRemedy(
  keys: readonly string[],
  spot: RequirementSpot,
  gpgKey?: string,
): string {
  const listed = keys.slice(0, MAX_LISTED).map((key) => escapeText(key, 200));
  if (keys.length > MAX_LISTED) listed.push(`${keys.length - MAX_LISTED} more`);
  const known = listed.length === 0 ? "it has none" : listed.join(", ");
  // Of a list in another one, not all have to be met.
  const alone =
    spot.indices.length > 1
      ? ""
      : " A requirement of its own would not do: all of a scope have to be met.";
  return `Have it signed by a key of the policy (${known}), or, if you trust its signer, add the signer's public key to ${showSpot(spot)}: ${howToAdd(spot, gpgKey)}.${alone}`;
}

/** In place of what is there, or beside it: nobody here knows which is meant. */
function howToAdd(spot: RequirementSpot, gpgKey: string | undefined): string {
  const requirement = requirementAt(spot);
  const exported = gpgKey === undefined ? "" : ` (gpg --armor --export ${gpgKey})`;
  const path = `PATH being a file of that key${exported}`;
  if ("keyPath" in requirement) {
    const known = JSON.stringify(escapeText(requirement.keyPath, 512));
    return `if ${known} is the mistake, write "PATH" in its place; if both are to count, write "keyPaths": [${known}, "PATH"] in place of its "keyPath"; ${path}`;
  }
  if ("keyPaths" in requirement)
    return `if one of its "keyPaths" is the mistake, write "PATH" in its place; if all are to count, add "PATH" to its "keyPaths"; ${path}`;
  // Of these there is one, which may hold several keys.
  if (requirement.type === "signedBy")
    return `if its "keyData" is the mistake, write that key there in base64; if both are to count, give it as "keyData" the base64 of all keys in one, as gpg --export KEY… | base64 -w0 writes it`;
  return "keyDatas" in requirement
    ? `if one of its "keyDatas" is the mistake, write "DATA" in its place; if all are to count, add "DATA" to its "keyDatas"; DATA being that key in base64`
    : `if its "keyData" is the mistake, write "DATA" in its place; if both are to count, write "keyDatas": ["OLD", "DATA"] in place of its "keyData", OLD being what that has; DATA being that key in base64`;
}
