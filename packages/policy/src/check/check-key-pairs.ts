import { isDeepStrictEqual } from "node:util";

import type { PolicyProblem } from "./policy-problem.ts";
import type { PolicyRequirement } from "../policy.ts";

/** Of a requirement, what says by which keys. */
const KEYS: ReadonlySet<string> = new Set(["keyPath", "keyPaths", "keyData", "keyDatas"]);
const TYPES: readonly PolicyRequirement["type"][] = [
  "signedBy",
  "sigstoreSigned",
  "sigstoreBundle",
];

/**
 * Finds requirements of one scope that differ by their keys only: both have to be met, and whoever
 * adds a second may mean that either does.
 *
 * @param path - of the scope, as JSON.
 */
export function checkKeyPairs(
  requirements: readonly PolicyRequirement[],
  path: string,
): readonly PolicyProblem[] {
  return requirements.flatMap((requirement, index): PolicyProblem[] => {
    if (!TYPES.includes(requirement.type) || !hasKeys(requirement)) return [];
    const rest = withoutKeys(requirement);
    const first = requirements.findIndex(
      (other) => hasKeys(other) && isDeepStrictEqual(withoutKeys(other), rest),
    );
    if (first === index) return [];
    return [
      {
        severity: "info",
        path: `${path}[${index}]`,
        problem: `differs from [${first}] by its keys only: an image must have a signature of each of the two`,
        remedy: `If one of them is to do, remove [${index}], and give [${first}] the keys of both: "keyPaths": [PATH, PATH] in place of a "keyPath".`,
      },
    ];
  });
}

function hasKeys(requirement: PolicyRequirement): boolean {
  return Object.keys(requirement).some((key) => KEYS.has(key));
}

function withoutKeys(requirement: PolicyRequirement): object {
  return Object.fromEntries(Object.entries(requirement).filter(([key]) => !KEYS.has(key)));
}
