import { formatReference, parseReference, repositoryOnly } from "@stowage/reference";

import type { PolicyProblem } from "./policy-problem.ts";
import type { PolicyRequirement } from "../policy.ts";
import { shownScope } from "../scope/shown-scope.ts";

/** Finds a tag or a digest in the name of a repository, where nobody looks at it. */
export function checkSignedName(
  requirement: PolicyRequirement,
  path: string,
): readonly PolicyProblem[] {
  if (!("signedIdentity" in requirement)) return [];
  const { signedIdentity: identity } = requirement;
  if (identity?.type !== "exactRepository") return [];
  const reference = parseReference(identity.dockerRepository);
  if (reference.tag === undefined && reference.digest === undefined) return [];
  const what = reference.tag === undefined ? "digest" : "tag";
  const name = shownScope(formatReference(repositoryOnly(reference)));
  return [
    {
      severity: "warning",
      path: `${path}.signedIdentity.dockerRepository`,
      problem: `has a ${what}, which nobody looks at: signatures for all tags of ${name} count`,
      remedy: `Write "${name}", or, if that ${what} alone is meant, {"type": "exactReference", "dockerReference": "${shownScope(formatReference(reference))}"} as the identity.`,
    },
  ];
}
