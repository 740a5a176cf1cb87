/** Tells whether an image of these names is to be kept from garbage collectors. */
export type PinnedMatcher = (names: readonly string[]) => boolean;

/**
 * Reads patterns of full names, which are compared without case: `*text*` anywhere in a name,
 * `text*` at its start, anything else as the whole name. `*` is every image that has a name.
 */
export function createPinnedMatcher(patterns: readonly string[]): PinnedMatcher {
  const tests = patterns.filter((pattern) => pattern !== "").map(compilePattern);
  return (names) => names.some((name) => tests.some((test) => test(name.toLowerCase())));
}

function compilePattern(pattern: string): (name: string) => boolean {
  const text = pattern.toLowerCase();
  if (!text.endsWith("*")) return (name) => name === text;
  if (text.length > 1 && text.startsWith("*")) {
    const part = text.slice(1, -1);
    return (name) => name.includes(part);
  }
  const start = text.slice(0, -1);
  return (name) => name.startsWith(start);
}
