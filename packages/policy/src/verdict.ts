import type { PolicyRequirement } from "./policy.ts";
import type { PolicyScope } from "./policy-scope.ts";

/** What one requirement of the chosen scope says. */
export interface RequirementVerdict {
  readonly type: PolicyRequirement["type"];
  readonly allowed: boolean;
  /** Why, as a clause: "it denies every image". */
  readonly reason: string;
}

/** What a policy says about one image, and how it came to that. A "no" is a value, not an error. */
export interface PolicyVerdict {
  /** Whether every one of `requirements` allows, and there is at least one. */
  readonly allowed: boolean;
  readonly transport: string;
  /** The full name that scopes were compared with; empty where the transport has none. */
  readonly image: string;
  readonly scope: PolicyScope;
  /** The file that the policy was read from, if it was read from one. */
  readonly file?: string;
  /** All of the chosen scope, in their order, also those after the first that denies. */
  readonly requirements: readonly RequirementVerdict[];
}
