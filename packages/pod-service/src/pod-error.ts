import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

/** The codes of {@link PodError}; the package's README says when each is thrown. */
export type PodErrorCode =
  | "ERR_POD_CONTAINER_NOT_FOUND"
  | "ERR_POD_DUPLICATE_ID"
  | "ERR_POD_DUPLICATE_NAME"
  | "ERR_POD_IMMUTABLE_METADATA"
  | "ERR_POD_INVALID_ATTEMPT"
  | "ERR_POD_INVALID_CONTAINER_ID"
  | "ERR_POD_INVALID_CONTAINER_NAME"
  | "ERR_POD_INVALID_IMAGE_NAME"
  | "ERR_POD_INVALID_METADATA"
  | "ERR_POD_INVALID_POD_NAME"
  | "ERR_POD_LABEL_UNSUPPORTED"
  | "ERR_POD_NAME_RESERVED"
  | "ERR_POD_NO_ROOT_FILESYSTEM"
  | "ERR_POD_NOT_EMPTY"
  | "ERR_POD_SANDBOX_NOT_FOUND";

const KINDS: Readonly<Record<PodErrorCode, ErrorKind>> = {
  ERR_POD_CONTAINER_NOT_FOUND: "ContainerNotFound",
  ERR_POD_DUPLICATE_ID: "AlreadyExists",
  ERR_POD_DUPLICATE_NAME: "AlreadyExists",
  ERR_POD_IMMUTABLE_METADATA: "InvalidArgument",
  ERR_POD_INVALID_ATTEMPT: "InvalidArgument",
  ERR_POD_INVALID_CONTAINER_ID: "InvalidArgument",
  ERR_POD_INVALID_CONTAINER_NAME: "InvalidArgument",
  ERR_POD_INVALID_IMAGE_NAME: "InvalidArgument",
  ERR_POD_INVALID_METADATA: "StoreCorrupt",
  ERR_POD_INVALID_POD_NAME: "InvalidArgument",
  ERR_POD_LABEL_UNSUPPORTED: "InvalidArgument",
  ERR_POD_NAME_RESERVED: "AlreadyExists",
  ERR_POD_NO_ROOT_FILESYSTEM: "InvalidArgument",
  ERR_POD_NOT_EMPTY: "InUse",
  ERR_POD_SANDBOX_NOT_FOUND: "PodNotFound",
};

/** Thrown when a pod or container cannot be what was asked for. */
export class PodError extends CodedError<PodErrorCode> {
  override readonly name = "PodError";

  constructor(code: PodErrorCode, message: string, options?: CodedErrorOptions) {
    super(code, KINDS[code], message, options);
  }
}
