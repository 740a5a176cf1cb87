/**
 * The error story of the workspace: stable codes, grouped in kinds.
 *
 * @module
 */

/**
 * What sort of failure a code is. Each code belongs to exactly one kind, and the kind decides exit
 * code, retry and gRPC status.
 */
export type ErrorKind =
  | "AlreadyExists"
  | "AuthFailed"
  | "AuthRealmRefused"
  | "Cancelled"
  | "ConfigFileInvalid"
  | "ConfigInvalid"
  | "ContainerNotFound"
  | "CredHelperFailed"
  | "DecompressError"
  | "DiffIdMismatch"
  | "DigestInvalid"
  | "DigestMismatch"
  | "DigestUnsupported"
  | "ImageInUse"
  | "ImageNotFound"
  | "InUse"
  | "Internal"
  | "InvalidArgument"
  | "LayerEscape"
  | "LayerInvalid"
  | "LimitExceeded"
  | "ManifestAmbiguous"
  | "ManifestInvalid"
  | "MediaTypeUnsupported"
  | "NoSpace"
  | "PlatformNotFound"
  | "PodNotFound"
  | "PolicyConfigInvalid"
  | "PolicyRejected"
  | "PullStalled"
  | "RateLimited"
  | "ReadOnlyStore"
  | "RedirectRefused"
  | "ReferenceInvalid"
  | "RegistryNotFound"
  | "RegistryProtocol"
  | "RegistryUnavailable"
  | "RuntimeFailed"
  | "SignatureInvalid"
  | "SizeMismatch"
  | "StoreBusy"
  | "StoreCorrupt"
  | "StoreIo"
  | "TlsFailed"
  | "TooManyFiles";

/** What a {@link CodedError} may carry beside its message. */
export interface CodedErrorOptions extends ErrorOptions {
  /** What the reader can do about it, in one sentence or command. */
  readonly hint?: string | undefined;
}

/**
 * An error that a caller may branch on.
 *
 * `code` is API: it keeps its meaning within a major version, and the package's README lists it.
 * Branch on it with {@link hasErrorCode}; two copies of one package may be installed, so
 * `instanceof` can miss.
 */
export abstract class CodedError<Code extends string> extends Error {
  readonly code: Code;
  readonly kind: ErrorKind;
  // Declared, not defined: an error without a hint must not have the property.
  declare readonly hint?: string;

  constructor(code: Code, kind: ErrorKind, message: string, options: CodedErrorOptions = {}) {
    const { hint, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.kind = kind;
    if (hint !== undefined) this.hint = hint;
  }
}

/** Whether `error` carries one of `codes`: ours (`ERR_CONTENT_…`) or the system's (`ENOENT`). */
export function hasErrorCode<Code extends string>(
  error: unknown,
  ...codes: readonly Code[]
): error is Error & { readonly code: Code } {
  return (
    typeof error === "object" &&
    error !== null &&
    "message" in error &&
    "code" in error &&
    codes.some((code) => code === error.code)
  );
}

/** The kind of an error of any Stowage package, of any installed copy; `undefined` for others. */
export function errorKind(error: unknown): ErrorKind | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  if (!("kind" in error && "code" in error)) return undefined;
  return typeof error.code === "string" && error.code.startsWith("ERR_")
    ? (error.kind as ErrorKind)
    : undefined;
}
