/**
 * Requirements that are made of others. They are no part of the original grammar, so that its
 * readers refuse a policy that has them.
 *
 * @module
 */
import type { PolicyShape } from "../internal/policy-shape.ts";
import type { PolicyRequirement } from "../policy.ts";
import type { RequirementSpot } from "./requirement-spot.ts";
import { explainSeveralSigners } from "./several-signers.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** Allows if enough of others allow. */
export interface AnyOfRequirement {
  readonly type: "anyOf";
  readonly requirements: readonly PolicyRequirement[];
  /** How many of them. @defaultValue 1 */
  readonly threshold?: number;
}

/** Allows every image, and reports what others would have denied. */
export interface AuditRequirement {
  readonly type: "audit";
  readonly requirements: readonly PolicyRequirement[];
}

type ReadRequirements = (shape: PolicyShape, key: string) => readonly PolicyRequirement[];
type Judge = (requirement: PolicyRequirement, index: number) => Promise<RequirementVerdict>;

export function parseAnyOf(shape: PolicyShape, read: ReadRequirements): AnyOfRequirement {
  shape.allow("type", "requirements", "threshold");
  const requirements = read(shape, "requirements");
  if (!shape.has("threshold")) return { type: "anyOf", requirements };
  const threshold = shape.value("threshold");
  if (typeof threshold !== "number" || !Number.isInteger(threshold) || threshold < 1) {
    shape.fail("is no positive integer: write 1 or more, without quotes", "threshold");
  }
  if (threshold > requirements.length) {
    shape.fail(`is more than the ${requirements.length} requirements`, "threshold");
  }
  return { type: "anyOf", requirements, threshold: threshold };
}

export function parseAudit(shape: PolicyShape, read: ReadRequirements): AuditRequirement {
  shape.allow("type", "requirements");
  return { type: "audit", requirements: read(shape, "requirements") };
}

export async function judgeAnyOf(
  { requirements, threshold = 1 }: AnyOfRequirement,
  judge: Judge,
  spot: RequirementSpot,
): Promise<RequirementVerdict> {
  const judged = await judgeAll(requirements, judge);
  const verdicts = explainSeveralSigners({
    requirements,
    verdicts: judged,
    spot,
    needed: threshold,
  });
  const count = verdicts.filter(({ allowed }) => allowed).length;
  const denied = verdicts.filter(({ allowed }) => !allowed);
  const all = `${count} of its ${verdicts.length} requirements allow`;
  if (count >= threshold)
    return { type: "anyOf", allowed: true, reason: all, requirements: verdicts };
  const remedy = remedyOfAny(denied, threshold - count);
  return {
    type: "anyOf",
    allowed: false,
    reason: `${all}, and ${threshold} must: ${reasonsOf(denied)}`,
    ...(remedy === undefined ? {} : { remedy }),
    requirements: verdicts,
  };
}

/** Why each of them denies, in one line. */
export function reasonsOf(denied: readonly RequirementVerdict[]): string {
  return denied.map(({ type, reason }) => `${type}: ${reason}`).join("; ");
}

/** What would do for each of them, or for all that can be helped in the same way. */
function remedyOfAny(denied: readonly RequirementVerdict[], missing: number): string | undefined {
  const types = new Map<string, string[]>();
  for (const { type, remedy } of denied) {
    if (remedy !== undefined) types.set(remedy, [...(types.get(remedy) ?? []), type]);
  }
  const [first, ...others] = types.keys();
  if (others.length === 0) return first;
  const count = missing === 1 ? "One of these is enough" : `${missing} of these are needed`;
  const ways = [...types].map(
    ([remedy, names]) => `(${[...new Set(names)].join(", ")}) ${shorten(remedy)}`,
  );
  return `${count}. ${ways.join(" ")}`;
}

/** The first that is to be done, or to be written; the rest is said where each says its own. */
function shorten(remedy: string): string {
  return /^[^]*?\.(?= [A-Z])/.exec(remedy)?.[0] ?? remedy;
}

export async function judgeAudit(
  { requirements }: AuditRequirement,
  judge: Judge,
): Promise<RequirementVerdict> {
  const verdicts = await judgeAll(requirements, judge);
  const count = verdicts.filter(({ allowed }) => !allowed).length;
  return {
    type: "audit",
    allowed: true,
    reason: `it only reports, and ${count} of its ${verdicts.length} requirements would have denied`,
    requirements: verdicts,
  };
}

async function judgeAll(
  requirements: readonly PolicyRequirement[],
  judge: Judge,
): Promise<readonly RequirementVerdict[]> {
  const verdicts: RequirementVerdict[] = [];
  for (const [index, requirement] of requirements.entries())
    verdicts.push(await judge(requirement, index));
  return verdicts;
}
