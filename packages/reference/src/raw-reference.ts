/**
 * References as they are written, before anything is filled in.
 *
 * @module
 */
import { type Digest, hasErrorCode, parseDigest } from "@stowage/content";

import { MAX_NAME_LENGTH, type ReferenceParts, splitReference } from "./grammar.ts";
import { InvalidReferenceError } from "./invalid-reference-error.ts";
import { explainInvalid } from "./explain-invalid.ts";
import type { Tag } from "./tag.ts";

/**
 * What was written, cut into parts. `domain` is only what the grammar lets be a domain, so that of
 * `library/busybox` is `library`: use it to tell short names, not to find a registry.
 */
export interface RawReference {
  /** Empty if the first component can not be a domain. */
  readonly domain: string;
  readonly path: string;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/**
 * Cuts `text` without filling in a registry, a namespace or a tag.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_EMPTY`; `ERR_REFERENCE_UPPERCASE` if only
 *   the case is wrong; `ERR_REFERENCE_INVALID`; `ERR_REFERENCE_NAME_TOO_LONG` over 255 characters;
 *   `ERR_REFERENCE_INVALID_DIGEST` and `ERR_REFERENCE_UNSUPPORTED_DIGEST`.
 */
export function parseRawReference(text: string): RawReference {
  return readRawReference(text, text);
}

/** As {@link parseRawReference}; messages quote `written`, what the caller was given. */
export function readRawReference(text: string, written: string): RawReference {
  const parts = splitReference(text) ?? refuse(text, written);
  const length = parts.path.length + (parts.domain === "" ? 0 : parts.domain.length + 1);
  if (length > MAX_NAME_LENGTH) {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_NAME_TOO_LONG",
      written,
      `has a name of ${length} characters, registry included, over ${MAX_NAME_LENGTH}`,
    );
  }
  const { domain, path, tag, digest } = parts;
  return {
    domain,
    path,
    ...(tag === undefined ? {} : { tag: tag as Tag }),
    ...(digest === undefined ? {} : { digest: readDigest(digest, written) }),
  };
}

/** A digest of a reference: the failure names what was written, and has a code of this package. */
export function readDigest(text: string, written: string): Digest {
  try {
    return parseDigest(text);
  } catch (cause) {
    if (hasErrorCode(cause, "ERR_CONTENT_UNSUPPORTED_DIGEST") && !/^[^:]*[A-Z]/.test(text)) {
      throw new InvalidReferenceError(
        "ERR_REFERENCE_UNSUPPORTED_DIGEST",
        written,
        "has a digest of an algorithm that is not supported",
        { cause, hint: "Use a sha256 or sha512 digest." },
      );
    }
    throw new InvalidReferenceError(
      "ERR_REFERENCE_INVALID_DIGEST",
      written,
      "has a digest that is none",
      { cause, hint: "A digest is sha256: followed by 64 lower-case hex digits." },
    );
  }
}

function refuse(text: string, written: string): ReferenceParts {
  if (text === "") {
    throw new InvalidReferenceError("ERR_REFERENCE_EMPTY", written, "is no name at all");
  }
  if (splitReference(text.toLowerCase()) !== undefined) throw upperCaseError(written);
  const { problem, hint } = explainInvalid(written);
  throw new InvalidReferenceError("ERR_REFERENCE_INVALID", written, problem, { hint });
}

export function upperCaseError(written: string): InvalidReferenceError {
  return new InvalidReferenceError(
    "ERR_REFERENCE_UPPERCASE",
    written,
    "is not an image reference: a repository is written in lower case",
  );
}
