import { familiarReference, familiarRepository } from "./familiar-name.ts";
import { compilePattern } from "./internal/path-pattern.ts";
import type { Reference } from "./reference.ts";

/**
 * Whether a shell pattern fits the familiar text of a reference, or else its familiar name.
 * `*` and `?` do not cross a slash.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID_PATTERN` if the pattern is malformed,
 *   also where it would not have fitted anyway.
 */
export function matchFamiliar(pattern: string, reference: Reference): boolean {
  const matches = compilePattern(pattern);
  return matches(familiarReference(reference)) || matches(familiarRepository(reference.repository));
}
