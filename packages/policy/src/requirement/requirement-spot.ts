import { escapeText } from "@stowage/content";

import type { PolicyRequirement } from "../policy.ts";
import type { PolicyScope } from "../scope/policy-scope.ts";
import { shownScope } from "../scope/shown-scope.ts";

/** Where the requirement stands that is being asked, for whoever has to change it. */
export interface RequirementSpot {
  /** The file of the policy, if it is from one. */
  readonly file: string | undefined;
  readonly transport: string;
  /** Whether the policy has the transport at all. */
  readonly hasTransport: boolean;
  readonly scope: PolicyScope;
  /** All of the scope. */
  readonly requirements: readonly PolicyRequirement[];
  /** Its index there; then, for one that is part of another, its index in that. */
  readonly indices: readonly number[];
}

/** File and JSON path, as in `/etc/p.json, transports.docker["q.io"][0].requirements[1]`. */
export function showSpot({ file, transport, scope, indices }: RequirementSpot): string {
  const top =
    scope.kind === "default" ? "default" : `transports.${transport}["${shownScope(scope.text)}"]`;
  return `${showFile(file)}, ${top}${indices.map(showIndex).join("")}`;
}

export function showFile(file: string | undefined): string {
  return file === undefined ? "the policy" : escapeText(file);
}

function showIndex(index: number, depth: number): string {
  return depth === 0 ? `[${index}]` : `.requirements[${index}]`;
}

/** The requirement itself. */
export function requirementAt({ requirements, indices }: RequirementSpot): PolicyRequirement {
  const [first = 0, ...rest] = indices;
  const found = rest.reduce(
    (outer, index) => (outer && "requirements" in outer ? outer.requirements[index] : undefined),
    requirements[first],
  );
  if (found === undefined) throw new TypeError("a spot without a requirement");
  return found;
}

/** All of the scope, with the requirement changed. */
export function withChanged(
  { requirements, indices }: Pick<RequirementSpot, "requirements" | "indices">,
  change: (requirement: PolicyRequirement) => object,
): readonly object[] {
  const [first, ...rest] = indices;
  return requirements.map((requirement, index) => {
    if (index !== first) return requirement;
    if (rest.length === 0 || !("requirements" in requirement)) return change(requirement);
    const inner = { requirements: requirement.requirements, indices: rest };
    return { ...requirement, requirements: withChanged(inner, change) };
  });
}
