import { PolicyError } from "../policy-error.ts";
import type { JsonSteps } from "./json-lines.ts";

/** A mistake in what a policy is made of, which stands somewhere. */
export class PolicyFormError extends PolicyError {
  /** Where that is, or would be. */
  readonly steps: JsonSteps;

  constructor(message: string, steps: JsonSteps) {
    super("ERR_POLICY_INVALID_CONFIG", message);
    this.steps = steps;
  }
}
