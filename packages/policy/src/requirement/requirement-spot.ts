import { escapeText } from "@stowage/content";

import type { JsonSteps } from "../internal/json-lines.ts";
import { showPath } from "../internal/policy-shape.ts";
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
  /** The line of something in its document, if that was read. */
  readonly lineOf?: (steps: JsonSteps) => number | undefined;
}

/**
 * File, line and JSON path, as in `/etc/p.json, line 7, transports.docker["q.io"][0].keyPath`.
 *
 * @param field - The way from the requirement to what is meant of it.
 */
export function showSpot(spot: RequirementSpot, field: JsonSteps = []): string {
  const { file, transport, scope, indices } = spot;
  const top =
    scope.kind === "default" ? "default" : `transports.${transport}["${shownScope(scope.text)}"]`;
  const line = lineOfSpot(spot, field);
  const where = line === undefined ? showFile(file) : `${showFile(file)}, line ${line}`;
  const inner = field.length === 0 ? "" : `.${showPath(field)}`;
  return `${where}, ${top}${indices.map(showIndex).join("")}${inner}`;
}

function lineOfSpot(
  { transport, scope, indices, lineOf }: RequirementSpot,
  field: JsonSteps,
): number | undefined {
  const top = scope.kind === "default" ? ["default"] : ["transports", transport, scope.text];
  const inside = indices.flatMap((index, depth) =>
    depth === 0 ? [index] : ["requirements", index],
  );
  return lineOf?.([...top, ...inside, ...field]);
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
