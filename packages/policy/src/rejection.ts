import { escapeText } from "@stowage/content";

import { PolicyError } from "./policy-error.ts";
import type { PolicyScope } from "./policy-scope.ts";
import type { SimilarScope } from "./similar-scope.ts";
import type { PolicyVerdict } from "./verdict.ts";

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
      : `requirement ${index + 1} of ${requirements.length}, ${denied.type}: ${denied.reason}`;
  return new PolicyError(
    denied?.cause === undefined ? "ERR_POLICY_REJECTED" : "ERR_POLICY_INVALID_KEY",
    `${name} is rejected by policy (${where}, ${why})`,
    { verdict, cause: denied?.cause, hint: remedyOf(verdict) },
  );
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
  const { considered, file, image, requirements, similar, transport, unsigned } = verdict;
  // One that was found went before whatever is wider than it.
  const missing = considered.filter(({ found }) => !found).map(({ text }) => text);
  const near = similar?.find(({ meant }) => missing.includes(meant));
  if (near !== undefined) return nearRemedy(near);
  const denied = requirements.find(({ allowed }) => !allowed);
  if (denied?.remedy !== undefined) return denied.remedy;
  if (unsigned) return "Give its scope a requirement that asks for a signature.";
  if (transport !== "docker") return undefined;
  const scope = escapeText(image.replace(/@.*$|:[^/:]*$/, ""), 512);
  const where = file === undefined ? "the policy" : escapeText(file);
  return `To trust it, give ${where} a scope transports.docker["${scope}"] of what it must have: signedBy or sigstoreSigned with the key of its signer, or [{"type":"insecureAcceptAnything"}] for an image that nobody signed.`;
}

// Whoever is one letter off may be about to get somebody else's image.
function nearRemedy({ scope, meant, doubt }: SimilarScope): string {
  const has = `The policy has the scope "${escapeText(scope, 160)}"`;
  const write = `write "${escapeText(meant, 160)}"`;
  switch (doubt) {
    case "spelling":
      return `${has}, which is not quite this image's. If that is a slip of the policy, ${write} there; if not, look at the image's name again.`;
    case "registry":
      return `${has}, which is of another registry. A policy goes by the name that is asked for, whatever mirror delivers it: if this image is meant as well, ${write}.`;
    default:
      return `${has}, which is not this image's: ${write}.`;
  }
}
