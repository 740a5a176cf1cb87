import { escapeText } from "@stowage/content";

import { nearRemedy } from "./scope/describe-near-scope.ts";
import { missingNote } from "./registries-d/explain-lookaside.ts";
import { PolicyError } from "./policy-error.ts";
import type { PolicyScope } from "./scope/policy-scope.ts";
import type { SignaturePlace } from "./ports.ts";
import type { PolicyVerdict, RequirementVerdict } from "./verdict.ts";

/** The error of a verdict that denies: the short form of what it says. */
export function rejection(verdict: PolicyVerdict): PolicyError {
  const { transport, image, file, scope, requirements, unsigned } = verdict;
  const index = requirements.findIndex(({ allowed }) => !allowed);
  const name = image === "" ? transport : escapeText(image);
  const where = `${file === undefined ? "the policy" : escapeText(file)}, ${describeScope(transport, scope)}`;
  const denied = requirements[index];
  const why =
    denied === undefined
      ? unsigned
        ? "no requirement verified a signature, and one was asked for"
        : "there is no requirement that could allow"
      : `requirement ${index + 1} of ${requirements.length}, ${denied.type}: ${reasonOf(denied, verdict)}`;
  return new PolicyError(
    denied?.cause === undefined ? "ERR_POLICY_REJECTED" : "ERR_POLICY_INVALID_KEY",
    `${name} is rejected by policy (${where}, ${why})`,
    { verdict, cause: denied?.cause, hint: remedyOf(verdict) },
  );
}

/** Of several that deny, why each is a place, or was passed over, would be said again and again. */
function reasonOf({ reason, requirements }: RequirementVerdict, { places }: PolicyVerdict): string {
  return requirements === undefined ? reason : withoutPlaces(reason, places);
}

/** A reason without what made a place one, or had it passed over, where the place says that itself. */
export function withoutPlaces(reason: string, places: readonly SignaturePlace[]): string {
  return places.reduce((text, place) => {
    const { skipped } = place;
    const bare = notesOf(place).reduce((rest, note) => rest.replaceAll(` (${note})`, ""), text);
    return skipped === undefined ? bare : bare.replaceAll(skipped, "nobody looked for any");
  }, reason);
}

function notesOf(place: SignaturePlace): readonly string[] {
  const notes = missingNote(place);
  const { statedBy } = place;
  return statedBy === undefined ? notes : [[statedBy, ...notes].join("; "), statedBy, ...notes];
}

/** In words, which scope it was. */
export function describeScope(transport: string, scope: PolicyScope): string {
  switch (scope.kind) {
    case "identity":
    case "namespace":
      return `scope "${escapeText(scope.text)}" of ${transport}`;
    case "transport":
      return `scope "" of ${transport}, which is for all of it`;
    case "default":
      return `the default, because no scope of ${transport} covers it`;
  }
}

/** What would make it allow; `undefined` if nobody here can say. */
export function remedyOf(verdict: PolicyVerdict): string | undefined {
  const { file, image, requirements, transport, unsigned } = verdict;
  const near = nearRemedy(verdict);
  if (near !== undefined) return near;
  const denied = requirements.find(({ allowed }) => !allowed);
  if (denied?.remedy !== undefined) return denied.remedy;
  if (unsigned) return "Give its scope a requirement that asks for a signature.";
  if (transport !== "docker") return undefined;
  // Beside a scope of the image's own, another would go round what that one asks for.
  if (verdict.scope.kind !== "default") return undefined;
  const scope = escapeText(image.replace(/@.*$|:[^/:]*$/, ""), 512);
  const where = file === undefined ? "the policy" : escapeText(file);
  const unsignedToo =
    denied?.type === "reject"
      ? `; or, for an image that nobody signed, [{"type":"insecureAcceptAnything"}]`
      : "";
  return `To trust it, give ${where} a scope transports.docker["${scope}"] of what it must have: signedBy or sigstoreSigned with the key of its signer${unsignedToo}.`;
}
