const DEFAULT_MAX_LENGTH = 256;

// Controls, line and paragraph separators, bidirectional overrides, zero-width and lone surrogates:
// what could move a terminal's cursor or make one name look like another.
const UNSAFE =
  /[\p{Cc}\p{Zl}\p{Zp}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]|[\ud800-\udfff]/gu;

/**
 * Makes text of a stranger fit for a message: unsafe characters become `\u{…}` and the rest is cut.
 *
 * @param maxLength - UTF-16 units kept of `text`; an ellipsis marks the cut. 256 unless told.
 */
export function escapeText(text: string, maxLength: number = DEFAULT_MAX_LENGTH): string {
  const kept = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return kept.replace(UNSAFE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
