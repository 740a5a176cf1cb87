import {
  type ContentError,
  hasErrorCode,
  type JsonValue,
  parseJsonDocument,
} from "@stowage/content";

import { findRepeatedKey } from "./internal/json-lines.ts";
import { findJsonMistake } from "./internal/json-mistake.ts";
import { PolicyError } from "./policy-error.ts";
import { shownScope } from "./scope/shown-scope.ts";

/**
 * Reads the JSON of a policy.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_CONFIG` in words for whoever wrote it by hand.
 */
export function readPolicyDocument(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes);
  } catch (error) {
    if (!hasErrorCode(error, ...DOCUMENT_CODES)) throw error;
    // It says all that there is to say, and its own words may have a password in a key.
    throw new PolicyError("ERR_POLICY_INVALID_CONFIG", ...describe(error as ContentError, bytes));
  }
}

const DOCUMENT_CODES = [
  "ERR_CONTENT_DUPLICATE_KEY",
  "ERR_CONTENT_INVALID_JSON",
  "ERR_CONTENT_TOO_LARGE",
] as const;

function describe(
  { code, message, position }: ContentError,
  bytes: Uint8Array,
): [message: string, options?: { readonly hint: string }] {
  const plain = message.replace(/^JSON document: /, "");
  const repeated = code === "ERR_CONTENT_DUPLICATE_KEY" && findRepeatedKey(decode(bytes));
  if (repeated) {
    const [first, second] = repeated.lines;
    return [
      `"${shownScope(repeated.key)}" stands twice in one object, in line ${first} and in line ${second}`,
      { hint: "Merge the two into one; until then every image is refused." },
    ];
  }
  if (decode(bytes).trim() === "") {
    return [
      plain,
      {
        hint: 'Write at least {"default": [{"type": "reject"}]}, or have one written that trusts what you name: `stowage policy init --force --policy FILE --trust SCOPE`.',
      },
    ];
  }
  const isWide = [bytes[0], bytes[1]].every((byte) => byte === 0xfe || byte === 0xff);
  if (isWide || decode(bytes).startsWith(MARK)) {
    return [
      isWide ? `${plain}, but UTF-16` : plain,
      { hint: "Save it as UTF-8 without a byte order mark; until then every image is refused." },
    ];
  }
  const mistake = position === undefined ? undefined : findJsonMistake(decode(bytes), position);
  return [mistake === undefined ? plain : `${plain}: ${mistake}`];
}

const MARK = "\ufeff";

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
