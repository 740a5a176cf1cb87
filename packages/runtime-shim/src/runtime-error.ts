import { CodedError, type CodedErrorOptions, type ErrorKind } from "@stowage/content";

/** The codes of {@link RuntimeError}; the package's README says when each is thrown. */
export type RuntimeErrorCode =
  | "ERR_RUNTIME_COMMAND_NOT_EXECUTABLE"
  | "ERR_RUNTIME_COMMAND_NOT_FOUND"
  | "ERR_RUNTIME_COPY_UNSUPPORTED"
  | "ERR_RUNTIME_FAILED"
  | "ERR_RUNTIME_IMAGE_MOVED"
  | "ERR_RUNTIME_INVALID_LOCATION"
  | "ERR_RUNTIME_INVALID_PROCESS"
  | "ERR_RUNTIME_INVALID_TEMPLATE"
  | "ERR_RUNTIME_INVALID_USER"
  | "ERR_RUNTIME_NOT_INSTALLED"
  | "ERR_RUNTIME_NO_COMMAND"
  | "ERR_RUNTIME_NO_POLICY_DIRECTORY"
  | "ERR_RUNTIME_NO_TEMPLATE"
  | "ERR_RUNTIME_PODMAN_FAILED"
  | "ERR_RUNTIME_PODMAN_NOT_INSTALLED"
  | "ERR_RUNTIME_TEMPLATE_EXISTS"
  | "ERR_RUNTIME_UNSAFE_ROOT"
  | "ERR_RUNTIME_UNUSABLE"
  | "ERR_RUNTIME_USER_NOT_FOUND";

const KINDS: Readonly<Record<RuntimeErrorCode, ErrorKind>> = {
  ERR_RUNTIME_COMMAND_NOT_EXECUTABLE: "RuntimeFailed",
  ERR_RUNTIME_COMMAND_NOT_FOUND: "RuntimeFailed",
  ERR_RUNTIME_COPY_UNSUPPORTED: "InvalidArgument",
  ERR_RUNTIME_FAILED: "RuntimeFailed",
  ERR_RUNTIME_IMAGE_MOVED: "InUse",
  ERR_RUNTIME_INVALID_LOCATION: "InvalidArgument",
  ERR_RUNTIME_INVALID_PROCESS: "InvalidArgument",
  ERR_RUNTIME_INVALID_TEMPLATE: "StoreCorrupt",
  ERR_RUNTIME_INVALID_USER: "InvalidArgument",
  ERR_RUNTIME_NOT_INSTALLED: "RuntimeFailed",
  ERR_RUNTIME_NO_COMMAND: "InvalidArgument",
  ERR_RUNTIME_NO_POLICY_DIRECTORY: "InvalidArgument",
  ERR_RUNTIME_NO_TEMPLATE: "StoreCorrupt",
  ERR_RUNTIME_PODMAN_FAILED: "StoreIo",
  ERR_RUNTIME_PODMAN_NOT_INSTALLED: "RuntimeFailed",
  ERR_RUNTIME_TEMPLATE_EXISTS: "AlreadyExists",
  ERR_RUNTIME_UNSAFE_ROOT: "RuntimeFailed",
  ERR_RUNTIME_UNUSABLE: "RuntimeFailed",
  ERR_RUNTIME_USER_NOT_FOUND: "InvalidArgument",
};

/**
 * Thrown when a container's configuration cannot be written, its process cannot be run, or an image
 * cannot be copied as it was asked for.
 */
export class RuntimeError extends CodedError<RuntimeErrorCode> {
  override readonly name = "RuntimeError";
  /**
   * Whether the OCI runtime has said the same already, on the standard error that it shares with its
   * container.
   */
  declare readonly isTold?: true;

  constructor(
    code: RuntimeErrorCode,
    message: string,
    options: CodedErrorOptions & { readonly isTold?: boolean | undefined } = {},
  ) {
    const { isTold, ...rest } = options;
    super(code, KINDS[code], message, rest);
    if (isTold === true) this.isTold = true;
  }
}

/**
 * What `stowage run` exits with when the process did not, as `podman run` has it: 127 for a command
 * that is not there, 126 for one that cannot be executed, 125 for all else.
 */
export function runFailureExitCode(error: unknown): 125 | 126 | 127 {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ERR_RUNTIME_COMMAND_NOT_FOUND") return 127;
  return code === "ERR_RUNTIME_COMMAND_NOT_EXECUTABLE" ? 126 : 125;
}
