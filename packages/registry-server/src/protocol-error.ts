import { type ErrorKind, errorKind, hasErrorCode } from "@stowage/content";

/**
 * What a client is told went wrong.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
 */
export type SpecErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DENIED"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  | "UNSUPPORTED";

/** Ends a request with a status and a code of the specification. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly status: number;
  readonly spec: SpecErrorCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    spec: SpecErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.spec = spec;
    this.headers = headers;
  }
}

type Answer = readonly [status: number, code: SpecErrorCode];

const NO_SPACE: Answer = [507, "TOOMANYREQUESTS"];
const IN_USE: Answer = [409, "DENIED"];
const ANSWERS: Readonly<Partial<Record<ErrorKind, Answer>>> = {
  ImageInUse: IN_USE,
  InUse: IN_USE,
  NoSpace: NO_SPACE,
  PolicyConfigInvalid: [403, "DENIED"],
  PolicyRejected: [403, "DENIED"],
  ReadOnlyStore: [405, "UNSUPPORTED"],
};

/**
 * What an error is told as. Where content or tags refuse by an error of a known kind, its message is
 * passed on; of any other failure a client hears only that there was one.
 */
export function asProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  if (hasErrorCode(error, "ENOSPC", "EDQUOT")) return new ProtocolError(...NO_SPACE, "no space");
  const [status, code] = answerTo(error) ?? [];
  if (status === undefined || code === undefined || !(error instanceof Error)) {
    return new ProtocolError(500, "UNSUPPORTED", "the registry failed");
  }
  return new ProtocolError(status, code, error.message);
}

function answerTo(error: unknown): Answer | undefined {
  if (hasErrorCode(error, "ERR_SERVER_REFUSED")) return [403, "DENIED"];
  const kind = errorKind(error);
  return kind && ANSWERS[kind];
}
