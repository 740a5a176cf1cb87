import type { PolicyShape } from "../internal/policy-shape.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** Allows every image. */
export interface InsecureAcceptAnythingRequirement {
  readonly type: "insecureAcceptAnything";
}

export function parseInsecureAcceptAnything(shape: PolicyShape): InsecureAcceptAnythingRequirement {
  shape.allow("type");
  return { type: "insecureAcceptAnything" };
}

export function judgeInsecureAcceptAnything(): RequirementVerdict {
  return {
    type: "insecureAcceptAnything",
    allowed: true,
    reason: "it allows every image, whoever made it",
  };
}
