import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

/** The codes of {@link RegistryServerError}; the package's README says when each is thrown. */
export type RegistryServerErrorCode =
  | "ERR_SERVER_ADDRESS_IN_USE"
  | "ERR_SERVER_LISTEN_FAILED"
  | "ERR_SERVER_REFUSED";

const KINDS: Readonly<Record<RegistryServerErrorCode, ErrorKind>> = {
  ERR_SERVER_ADDRESS_IN_USE: "InUse",
  ERR_SERVER_LISTEN_FAILED: "InvalidArgument",
  ERR_SERVER_REFUSED: "InvalidArgument",
};

/**
 * Thrown when the server cannot be started; requests get the protocol's own errors. A content or tag
 * store throws `ERR_SERVER_REFUSED` itself, to refuse a request in words that the client is told.
 */
export class RegistryServerError extends CodedError<RegistryServerErrorCode> {
  override readonly name = "RegistryServerError";

  constructor(code: RegistryServerErrorCode, message: string, options?: CodedErrorOptions) {
    super(code, KINDS[code], message, options);
  }
}
