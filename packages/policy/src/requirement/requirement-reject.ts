import type { PolicyShape } from "../internal/policy-shape.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** Denies every image. */
export interface RejectRequirement {
  readonly type: "reject";
}

export function parseReject(shape: PolicyShape): RejectRequirement {
  shape.allow("type");
  return { type: "reject" };
}

export function judgeReject(): RequirementVerdict {
  return { type: "reject", allowed: false, reason: "it denies every image" };
}
