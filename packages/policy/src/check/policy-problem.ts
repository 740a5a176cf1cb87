import type { JsonSteps } from "../internal/json-lines.ts";
import type { PolicyErrorCode } from "../policy-error.ts";

/** Something in a policy that is not what its author can have meant. */
export interface PolicyProblem {
  /**
   * An `error` refuses images that it should not, or can never allow any; a `warning` is hardly meant;
   * an `info` may well be.
   */
  readonly severity: "error" | "warning" | "info";
  /** Where, as a JSON path. */
  readonly path: string;
  /** The line of that, counted from 1, of a policy that was read from a document. */
  readonly line?: number;
  readonly problem: string;
  /** What to do, as a sentence. */
  readonly remedy: string;
  /** What a pull that comes to it fails with, if that is no rejection by the policy. */
  readonly code?: PolicyErrorCode;
}

/** Where a requirement stands. */
export interface RequirementPlace {
  /** `undefined` for the default. */
  readonly transport: string | undefined;
  readonly scope: string;
  /** As JSON. */
  readonly path: string;
  /** What a problem has as its line, of something that the steps lead to from here. */
  readonly lineOf: (steps: JsonSteps) => Pick<PolicyProblem, "line">;
}
