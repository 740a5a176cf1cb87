import { CodedError, type CodedErrorOptions } from "@stowage/content";

/** Thrown when a command was called with what it does not take. */
export class UsageError extends CodedError<"ERR_STOWAGE_USAGE"> {
  override readonly name = "UsageError";

  constructor(message: string, options?: CodedErrorOptions) {
    super("ERR_STOWAGE_USAGE", "InvalidArgument", message, options);
  }
}
