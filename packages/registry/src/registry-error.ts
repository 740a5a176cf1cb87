import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

import type { RateLimit } from "./rate-limit.ts";

/** The codes of {@link RegistryError}; the package's README says when each is thrown. */
export type RegistryErrorCode =
  | "ERR_REGISTRY_AUTH_FAILED"
  | "ERR_REGISTRY_BLOCKED"
  | "ERR_REGISTRY_BUSY"
  | "ERR_REGISTRY_CLOSED"
  | "ERR_REGISTRY_CONFLICT"
  | "ERR_REGISTRY_DAEMON_FAILED"
  | "ERR_REGISTRY_DENIED"
  | "ERR_REGISTRY_FILE"
  | "ERR_REGISTRY_HELPER_FAILED"
  | "ERR_REGISTRY_INVALID_ARGUMENT"
  | "ERR_REGISTRY_INVALID_AUTH_FILE"
  | "ERR_REGISTRY_INVALID_CERTIFICATE"
  | "ERR_REGISTRY_INVALID_CONFIG"
  | "ERR_REGISTRY_INVALID_LAYOUT"
  | "ERR_REGISTRY_INVALID_PROXY"
  | "ERR_REGISTRY_NOT_FOUND"
  | "ERR_REGISTRY_NOT_LOGGED_IN"
  | "ERR_REGISTRY_NO_SPACE"
  | "ERR_REGISTRY_PROTOCOL"
  | "ERR_REGISTRY_RATE_LIMITED"
  | "ERR_REGISTRY_REALM_REFUSED"
  | "ERR_REGISTRY_REDIRECT_REFUSED"
  | "ERR_REGISTRY_SHORT_NAME"
  | "ERR_REGISTRY_STALLED"
  | "ERR_REGISTRY_TLS"
  | "ERR_REGISTRY_TOO_LARGE"
  | "ERR_REGISTRY_UNAVAILABLE"
  | "ERR_REGISTRY_UNSUPPORTED";

const KINDS: Readonly<Record<RegistryErrorCode, ErrorKind>> = {
  ERR_REGISTRY_AUTH_FAILED: "AuthFailed",
  ERR_REGISTRY_BLOCKED: "PolicyRejected",
  ERR_REGISTRY_BUSY: "StoreBusy",
  ERR_REGISTRY_CLOSED: "InvalidArgument",
  ERR_REGISTRY_CONFLICT: "InUse",
  ERR_REGISTRY_DAEMON_FAILED: "StoreIo",
  ERR_REGISTRY_DENIED: "AuthFailed",
  ERR_REGISTRY_FILE: "StoreIo",
  ERR_REGISTRY_HELPER_FAILED: "CredHelperFailed",
  ERR_REGISTRY_INVALID_ARGUMENT: "InvalidArgument",
  ERR_REGISTRY_INVALID_AUTH_FILE: "ConfigFileInvalid",
  ERR_REGISTRY_INVALID_CERTIFICATE: "ConfigFileInvalid",
  ERR_REGISTRY_INVALID_CONFIG: "ConfigFileInvalid",
  ERR_REGISTRY_INVALID_LAYOUT: "ManifestInvalid",
  ERR_REGISTRY_INVALID_PROXY: "ConfigFileInvalid",
  ERR_REGISTRY_NOT_FOUND: "RegistryNotFound",
  ERR_REGISTRY_NOT_LOGGED_IN: "RegistryNotFound",
  ERR_REGISTRY_NO_SPACE: "NoSpace",
  ERR_REGISTRY_PROTOCOL: "RegistryProtocol",
  ERR_REGISTRY_RATE_LIMITED: "RateLimited",
  ERR_REGISTRY_REALM_REFUSED: "AuthRealmRefused",
  ERR_REGISTRY_REDIRECT_REFUSED: "RedirectRefused",
  ERR_REGISTRY_SHORT_NAME: "ReferenceInvalid",
  ERR_REGISTRY_STALLED: "PullStalled",
  ERR_REGISTRY_TLS: "TlsFailed",
  ERR_REGISTRY_TOO_LARGE: "LimitExceeded",
  ERR_REGISTRY_UNAVAILABLE: "RegistryUnavailable",
  ERR_REGISTRY_UNSUPPORTED: "RegistryProtocol",
};

const TRANSIENT: ReadonlySet<ErrorKind> = new Set([
  "PullStalled",
  "RateLimited",
  "RegistryUnavailable",
]);

/** One entry of the `errors` that a registry answers with, made fit for a message. */
export interface RegistryDiagnostic {
  /** As the registry wrote it: `MANIFEST_UNKNOWN`, … */
  readonly code: string;
  readonly message?: string;
}

/** What a {@link RegistryError} may carry beside its message. */
export interface RegistryErrorOptions extends CodedErrorOptions {
  readonly rateLimit?: RateLimit | undefined;
  readonly status?: number | undefined;
  readonly method?: string | undefined;
  /** Without query and user information. */
  readonly url?: string | undefined;
  readonly diagnostics?: readonly RegistryDiagnostic[] | undefined;
  readonly retryAfter?: number | undefined;
}

/** Thrown when a registry, its token server or the way to them fails. It never holds a secret. */
export class RegistryError extends CodedError<RegistryErrorCode> {
  override readonly name = "RegistryError";
  /** The HTTP status, if there was an answer. */
  declare readonly status?: number;
  declare readonly method?: string;
  /** What was asked for, without query and user information. */
  declare readonly url?: string;
  /** What the registry itself said. */
  readonly diagnostics: readonly RegistryDiagnostic[];
  /** Whether the same request may succeed later, with nothing changed on this side. */
  readonly retryable: boolean;
  /** Milliseconds that the server asked to be left alone for. */
  declare readonly retryAfter?: number;
  /** How often it lets itself be asked, if the answer said. */
  declare readonly rateLimit?: RateLimit;

  constructor(code: RegistryErrorCode, message: string, options: RegistryErrorOptions = {}) {
    const { status, method, url, diagnostics = [], retryAfter, rateLimit, ...rest } = options;
    super(code, KINDS[code], message, rest);
    this.diagnostics = diagnostics;
    this.retryable = TRANSIENT.has(this.kind);
    if (status !== undefined) this.status = status;
    if (method !== undefined) this.method = method;
    if (url !== undefined) this.url = url;
    if (retryAfter !== undefined) this.retryAfter = retryAfter;
    if (rateLimit !== undefined) this.rateLimit = rateLimit;
  }
}
