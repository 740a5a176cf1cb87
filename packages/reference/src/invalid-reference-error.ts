import { CodedError, type CodedErrorOptions, type ErrorKind, escapeText } from "@stowage/content";

import { redactCredentials } from "./typed-credentials.ts";

/** The codes of {@link InvalidReferenceError}; the package's README says when each is thrown. */
export type ReferenceErrorCode =
  | "ERR_REFERENCE_AMBIGUOUS_ID"
  | "ERR_REFERENCE_EMPTY"
  | "ERR_REFERENCE_INVALID"
  | "ERR_REFERENCE_INVALID_DIGEST"
  | "ERR_REFERENCE_INVALID_PATTERN"
  | "ERR_REFERENCE_INVALID_TAG"
  | "ERR_REFERENCE_NAME_TOO_LONG"
  | "ERR_REFERENCE_NOT_CANONICAL"
  | "ERR_REFERENCE_TAG_AND_DIGEST"
  | "ERR_REFERENCE_UNSUPPORTED_DIGEST"
  | "ERR_REFERENCE_UPPERCASE";

const KINDS: Readonly<Record<ReferenceErrorCode, ErrorKind>> = {
  ERR_REFERENCE_AMBIGUOUS_ID: "ReferenceInvalid",
  ERR_REFERENCE_EMPTY: "ReferenceInvalid",
  ERR_REFERENCE_INVALID: "ReferenceInvalid",
  ERR_REFERENCE_INVALID_DIGEST: "DigestInvalid",
  ERR_REFERENCE_INVALID_PATTERN: "InvalidArgument",
  ERR_REFERENCE_INVALID_TAG: "ReferenceInvalid",
  ERR_REFERENCE_NAME_TOO_LONG: "ReferenceInvalid",
  ERR_REFERENCE_NOT_CANONICAL: "ReferenceInvalid",
  ERR_REFERENCE_TAG_AND_DIGEST: "ReferenceInvalid",
  ERR_REFERENCE_UNSUPPORTED_DIGEST: "DigestUnsupported",
  ERR_REFERENCE_UPPERCASE: "ReferenceInvalid",
};

const QUOTED_LENGTH = 160;
const CREDENTIALS_HINT =
  "Leave user and password out: `stowage login` keeps them for a registry, as does an auth file.";

/** Thrown when text is not the name of an image, or of a part of one. */
export class InvalidReferenceError extends CodedError<ReferenceErrorCode> {
  override readonly name = "InvalidReferenceError";

  /**
   * @param text - What was refused; the message quotes it with unsafe characters escaped, without
   *   what may be credentials, and cut. Where there were some, the hint is about them.
   * @param problem - What is wrong, as the end of a sentence that begins with the quoted text.
   */
  constructor(
    code: ReferenceErrorCode,
    text: string,
    problem: string,
    options?: CodedErrorOptions,
  ) {
    const shown = redactCredentials(text);
    const quoted = escapeText(shown, QUOTED_LENGTH);
    const more = shown === text ? {} : { hint: CREDENTIALS_HINT };
    super(code, KINDS[code], `"${quoted}" ${problem}`, { ...options, ...more });
  }
}
