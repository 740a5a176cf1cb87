import type { PolicyShape } from "../internal/policy-shape.ts";
import { parseSignedIdentity, type SignedIdentity } from "./signed-identity.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** Part of the grammar that no tool ever gave a meaning: it denies. */
export interface SignedBaseLayerRequirement {
  readonly type: "signedBaseLayer";
  readonly baseLayerIdentity: SignedIdentity;
}

export function parseSignedBaseLayer(shape: PolicyShape): SignedBaseLayerRequirement {
  shape.allow("type", "baseLayerIdentity");
  return {
    type: "signedBaseLayer",
    baseLayerIdentity: parseSignedIdentity(shape, "baseLayerIdentity"),
  };
}

export function judgeSignedBaseLayer(): RequirementVerdict {
  return {
    type: "signedBaseLayer",
    allowed: false,
    reason: "it cannot be checked: no tool gives this requirement a meaning",
    remedy: "Use signedBy or sigstoreSigned instead: nothing can ever meet this one.",
  };
}
