import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

/** The codes of {@link StoreError}; the package's README says when each is thrown. */
export type StoreErrorCode =
  | "ERR_STORE_AMBIGUOUS_ID"
  | "ERR_STORE_BLOB_NOT_FOUND"
  | "ERR_STORE_BUSY"
  | "ERR_STORE_CONTAINER_NOT_FOUND"
  | "ERR_STORE_CORRUPT"
  | "ERR_STORE_DECOMPRESS"
  | "ERR_STORE_DIFF_ID_MISMATCH"
  | "ERR_STORE_DUPLICATE_ID"
  | "ERR_STORE_DUPLICATE_NAME"
  | "ERR_STORE_IMAGE_IN_USE"
  | "ERR_STORE_IMAGE_NOT_FOUND"
  | "ERR_STORE_INVALID_ARGUMENT"
  | "ERR_STORE_INVALID_EXPORT"
  | "ERR_STORE_INVALID_LAYER"
  | "ERR_STORE_INVALID_ROOT"
  | "ERR_STORE_IO"
  | "ERR_STORE_LAYER_ESCAPE"
  | "ERR_STORE_LAYER_IN_USE"
  | "ERR_STORE_LAYER_NOT_FOUND"
  | "ERR_STORE_LIMIT_EXCEEDED"
  | "ERR_STORE_MOUNT_BUSY"
  | "ERR_STORE_MOUNT_FAILED"
  | "ERR_STORE_NO_SPACE"
  | "ERR_STORE_READ_ONLY"
  | "ERR_STORE_TOO_MANY_FILES"
  | "ERR_STORE_UNSUPPORTED_COMPRESSION"
  | "ERR_STORE_UNSUPPORTED_VERSION";

const KINDS: Readonly<Record<StoreErrorCode, ErrorKind>> = {
  ERR_STORE_AMBIGUOUS_ID: "InvalidArgument",
  ERR_STORE_BLOB_NOT_FOUND: "StoreCorrupt",
  ERR_STORE_BUSY: "StoreBusy",
  ERR_STORE_CONTAINER_NOT_FOUND: "ContainerNotFound",
  ERR_STORE_CORRUPT: "StoreCorrupt",
  ERR_STORE_DECOMPRESS: "DecompressError",
  ERR_STORE_DIFF_ID_MISMATCH: "DiffIdMismatch",
  ERR_STORE_DUPLICATE_ID: "AlreadyExists",
  ERR_STORE_DUPLICATE_NAME: "AlreadyExists",
  ERR_STORE_IMAGE_IN_USE: "ImageInUse",
  ERR_STORE_IMAGE_NOT_FOUND: "ImageNotFound",
  ERR_STORE_INVALID_ARGUMENT: "InvalidArgument",
  ERR_STORE_INVALID_EXPORT: "InvalidArgument",
  ERR_STORE_INVALID_LAYER: "LayerInvalid",
  ERR_STORE_INVALID_ROOT: "InvalidArgument",
  ERR_STORE_IO: "StoreIo",
  ERR_STORE_LAYER_ESCAPE: "LayerEscape",
  ERR_STORE_LAYER_IN_USE: "InUse",
  ERR_STORE_LAYER_NOT_FOUND: "StoreCorrupt",
  ERR_STORE_LIMIT_EXCEEDED: "LimitExceeded",
  ERR_STORE_MOUNT_BUSY: "InUse",
  ERR_STORE_MOUNT_FAILED: "StoreIo",
  ERR_STORE_NO_SPACE: "NoSpace",
  ERR_STORE_READ_ONLY: "ReadOnlyStore",
  ERR_STORE_TOO_MANY_FILES: "TooManyFiles",
  ERR_STORE_UNSUPPORTED_COMPRESSION: "MediaTypeUnsupported",
  ERR_STORE_UNSUPPORTED_VERSION: "StoreIo",
};

/** Thrown by everything of this package that can fail in a way a caller may branch on. */
export class StoreError extends CodedError<StoreErrorCode> {
  override readonly name = "StoreError";

  constructor(code: StoreErrorCode, message: string, options?: CodedErrorOptions) {
    super(code, KINDS[code], message, options);
  }
}
