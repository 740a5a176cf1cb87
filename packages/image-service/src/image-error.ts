import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

/** The codes of {@link ImageError}; the package's README says when each is thrown. */
export type ImageErrorCode =
  | "ERR_IMAGE_DIGEST_MISMATCH"
  | "ERR_IMAGE_INVALID_ARGUMENT"
  | "ERR_IMAGE_IN_USE"
  | "ERR_IMAGE_LAYERS_MISMATCH"
  | "ERR_IMAGE_NESTED_INDEX"
  | "ERR_IMAGE_NO_SPACE"
  | "ERR_IMAGE_NOT_FOUND"
  | "ERR_IMAGE_PINNED"
  | "ERR_IMAGE_PLATFORM_MISMATCH"
  | "ERR_IMAGE_SIGNATURES_DAMAGED"
  | "ERR_IMAGE_TAG_MISMATCH"
  | "ERR_IMAGE_TOO_LARGE"
  | "ERR_IMAGE_UNSUPPORTED_DIGEST"
  | "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE"
  | "ERR_IMAGE_WRONG_OS";

const KINDS: Readonly<Record<ImageErrorCode, ErrorKind>> = {
  ERR_IMAGE_DIGEST_MISMATCH: "DigestMismatch",
  ERR_IMAGE_INVALID_ARGUMENT: "InvalidArgument",
  ERR_IMAGE_IN_USE: "ImageInUse",
  ERR_IMAGE_LAYERS_MISMATCH: "ConfigInvalid",
  ERR_IMAGE_NESTED_INDEX: "MediaTypeUnsupported",
  ERR_IMAGE_NO_SPACE: "NoSpace",
  ERR_IMAGE_NOT_FOUND: "ImageNotFound",
  ERR_IMAGE_PINNED: "InUse",
  ERR_IMAGE_PLATFORM_MISMATCH: "PlatformNotFound",
  ERR_IMAGE_SIGNATURES_DAMAGED: "StoreCorrupt",
  ERR_IMAGE_TAG_MISMATCH: "DigestMismatch",
  ERR_IMAGE_TOO_LARGE: "LimitExceeded",
  ERR_IMAGE_UNSUPPORTED_DIGEST: "DigestUnsupported",
  ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE: "MediaTypeUnsupported",
  ERR_IMAGE_WRONG_OS: "ConfigInvalid",
};

/** Thrown when an image is not here, is not what it should be, or may not be touched now. */
export class ImageError extends CodedError<ImageErrorCode> {
  override readonly name = "ImageError";

  constructor(code: ImageErrorCode, message: string, options?: CodedErrorOptions) {
    super(code, KINDS[code], message, options);
  }
}
