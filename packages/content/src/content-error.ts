import { CodedError, type CodedErrorOptions, type ErrorKind } from "./errors.ts";

/** The codes of {@link ContentError}; the package's README says when each is thrown. */
export type ContentErrorCode =
  | "ERR_CONTENT_AMBIGUOUS_MANIFEST"
  | "ERR_CONTENT_DIGEST_MISMATCH"
  | "ERR_CONTENT_DUPLICATE_KEY"
  | "ERR_CONTENT_INVALID_CONFIG"
  | "ERR_CONTENT_INVALID_DIGEST"
  | "ERR_CONTENT_INVALID_JSON"
  | "ERR_CONTENT_INVALID_MANIFEST"
  | "ERR_CONTENT_INVALID_PLATFORM"
  | "ERR_CONTENT_NOT_FOUND"
  | "ERR_CONTENT_PLATFORM_NOT_FOUND"
  | "ERR_CONTENT_SIZE_MISMATCH"
  | "ERR_CONTENT_TOO_LARGE"
  | "ERR_CONTENT_UNSUPPORTED_DIGEST"
  | "ERR_CONTENT_UNSUPPORTED_MEDIA_TYPE"
  | "ERR_CONTENT_UNSUPPORTED_NODE";

const KINDS: Readonly<Record<ContentErrorCode, ErrorKind>> = {
  ERR_CONTENT_AMBIGUOUS_MANIFEST: "ManifestAmbiguous",
  ERR_CONTENT_DIGEST_MISMATCH: "DigestMismatch",
  ERR_CONTENT_DUPLICATE_KEY: "ManifestAmbiguous",
  ERR_CONTENT_INVALID_CONFIG: "ConfigInvalid",
  ERR_CONTENT_INVALID_DIGEST: "DigestInvalid",
  ERR_CONTENT_INVALID_JSON: "ManifestInvalid",
  ERR_CONTENT_INVALID_MANIFEST: "ManifestInvalid",
  ERR_CONTENT_INVALID_PLATFORM: "InvalidArgument",
  ERR_CONTENT_NOT_FOUND: "StoreCorrupt",
  ERR_CONTENT_PLATFORM_NOT_FOUND: "PlatformNotFound",
  ERR_CONTENT_SIZE_MISMATCH: "SizeMismatch",
  ERR_CONTENT_TOO_LARGE: "LimitExceeded",
  ERR_CONTENT_UNSUPPORTED_DIGEST: "DigestUnsupported",
  ERR_CONTENT_UNSUPPORTED_MEDIA_TYPE: "MediaTypeUnsupported",
  ERR_CONTENT_UNSUPPORTED_NODE: "Internal",
};

/** What a {@link ContentError} may carry beside its message. */
export interface ContentErrorOptions extends CodedErrorOptions {
  readonly position?: number | undefined;
}

/** Thrown when bytes are not what their name says, or when a document is not what it claims. */
export class ContentError extends CodedError<ContentErrorCode> {
  override readonly name = "ContentError";

  /** Of an `ERR_CONTENT_INVALID_JSON`, how many characters of the document could be taken. */
  // Declared, not defined: an error of no document must not have the property.
  declare readonly position?: number;

  constructor(code: ContentErrorCode, message: string, options: ContentErrorOptions = {}) {
    const { position, ...rest } = options;
    super(code, KINDS[code], message, rest);
    if (position !== undefined) this.position = position;
  }
}
