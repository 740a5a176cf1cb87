import type { PolicyVerdict, SignatureVerdict } from "./verdict.ts";

/**
 * The GPG signatures whose authors the policy accepts: by one requirement at least, and refused by
 * none. A policy that allows an image without asking who made it accepts nobody.
 */
export function acceptedAuthors(verdict: PolicyVerdict): readonly SignatureVerdict[] {
  const { requirements } = verdict;
  const silent = ["insecureAcceptAnything", "signedBaseLayer", "audit"];
  const judges = requirements.filter(({ type }) => !silent.includes(type));
  if (judges.some(({ type }) => type !== "signedBy")) return [];
  const [first, ...others] = judges.map(({ signatures = [] }) => signatures);
  return (first ?? []).filter(
    ({ accepted }, index) => accepted && others.every((other) => other[index]?.accepted),
  );
}
