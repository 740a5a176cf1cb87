import type { PolicyShape } from "../internal/policy-shape.ts";
import { type RequirementSpot, showSpot } from "./requirement-spot.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** Denies every image. */
export interface RejectRequirement {
  readonly type: "reject";
}

export function parseReject(shape: PolicyShape): RejectRequirement {
  shape.allow("type");
  return { type: "reject" };
}

export function judgeReject(spot: RequirementSpot): RequirementVerdict {
  const remedy = remedyOf(spot);
  return {
    type: "reject",
    allowed: false,
    reason: "it denies every image",
    ...(remedy === undefined ? {} : { remedy }),
  };
}

/** Of the only requirement of the default nothing is said: a scope of its own lets an image in. */
function remedyOf(spot: RequirementSpot): string | undefined {
  const { scope, requirements, indices } = spot;
  const [index = 0] = indices;
  // Inside of others it decides nothing alone.
  if (indices.length !== 1) return undefined;
  if (requirements.length > 1)
    return `All of a scope have to be met, and a reject never is: remove requirement ${index + 1} (${showSpot(spot)}) if what stands beside it is to decide.`;
  if (scope.kind === "default") return undefined;
  return `This scope rejects on purpose, in ${showSpot(spot)}. If its images are to come, write there what they must have, such as signedBy or sigstoreSigned with the key of their signer.`;
}
