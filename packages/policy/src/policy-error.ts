import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

import type { PolicyVerdict } from "./verdict.ts";

/** The codes of {@link PolicyError}; the package's README says when each is thrown. */
export type PolicyErrorCode =
  | "ERR_POLICY_FILE_EXISTS"
  | "ERR_POLICY_INVALID_ARGUMENT"
  | "ERR_POLICY_INVALID_CONFIG"
  | "ERR_POLICY_INVALID_KEY"
  | "ERR_POLICY_INVALID_REGISTRIES_D"
  | "ERR_POLICY_NOT_FOUND"
  | "ERR_POLICY_NOT_WRITTEN"
  | "ERR_POLICY_REJECTED"
  | "ERR_POLICY_SIGNATURE_INVALID"
  | "ERR_POLICY_SIGNATURES_UNAVAILABLE"
  | "ERR_POLICY_TOO_MANY_SIGNATURES"
  | "ERR_POLICY_UNREADABLE";

/** What a {@link PolicyError} may carry beside its message. */
export interface PolicyErrorOptions extends CodedErrorOptions {
  /** The verdict that an `ERR_POLICY_REJECTED` reports, or what was known when signatures failed. */
  readonly verdict?: PolicyVerdict | undefined;
}

const KINDS: Readonly<Record<PolicyErrorCode, ErrorKind>> = {
  ERR_POLICY_FILE_EXISTS: "AlreadyExists",
  ERR_POLICY_INVALID_ARGUMENT: "InvalidArgument",
  ERR_POLICY_INVALID_CONFIG: "PolicyConfigInvalid",
  ERR_POLICY_INVALID_KEY: "PolicyConfigInvalid",
  ERR_POLICY_INVALID_REGISTRIES_D: "ConfigFileInvalid",
  ERR_POLICY_NOT_FOUND: "PolicyConfigInvalid",
  ERR_POLICY_NOT_WRITTEN: "StoreIo",
  ERR_POLICY_REJECTED: "PolicyRejected",
  ERR_POLICY_SIGNATURE_INVALID: "SignatureInvalid",
  ERR_POLICY_SIGNATURES_UNAVAILABLE: "RegistryUnavailable",
  ERR_POLICY_TOO_MANY_SIGNATURES: "LimitExceeded",
  ERR_POLICY_UNREADABLE: "PolicyConfigInvalid",
};

/** Thrown when a policy says no, or when there is none that could be asked. */
export class PolicyError extends CodedError<PolicyErrorCode> {
  override readonly name = "PolicyError";
  // Declared, not defined: an error without a verdict must not have the property.
  declare readonly verdict?: PolicyVerdict;

  constructor(code: PolicyErrorCode, message: string, options: PolicyErrorOptions = {}) {
    const { verdict, ...rest } = options;
    super(code, KINDS[code], message, rest);
    if (verdict !== undefined) this.verdict = verdict;
  }
}
