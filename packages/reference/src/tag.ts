import { isTag } from "./grammar.ts";
import { InvalidReferenceError } from "./invalid-reference-error.ts";

declare const tagBrand: unique symbol;

/** A checked tag: a name inside a repository that may be moved at any time. */
export type Tag = string & { readonly [tagBrand]: true };

/**
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID_TAG` unless `text` is 1 to 128
 *   letters, digits, `_`, `.` and `-`, the first of them neither `.` nor `-`.
 */
export function parseTag(text: string): Tag {
  if (!isTag(text)) {
    throw new InvalidReferenceError("ERR_REFERENCE_INVALID_TAG", text, "is not a tag", {
      hint: "A tag is 1 to 128 letters, digits, _, . and -, and begins with none of the last two.",
    });
  }
  return text as Tag;
}
