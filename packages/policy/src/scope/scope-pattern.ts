/**
 * Scopes with a `*` where there can be none: what they can have meant, and no more.
 *
 * @module
 */
import { tidyScope } from "./tidy-scope.ts";

/** A scope that is written as a pattern. */
export interface ScopePattern {
  /** `undefined` where it is the same as the scope `whole`, which has no `*`. */
  readonly pattern?: string;
  /** The narrowest scope that covers all that it can have meant; none if that is a whole registry. */
  readonly whole?: string;
}

/** `undefined` for what is none, as `*.example.com`, and for what means everything, as `*`. */
export function readScopePattern(scope: string): ScopePattern | undefined {
  const tidy = tidyScope(scope);
  if (!tidy.includes("*") || /^[\s*/:]*$/.test(tidy) || /^\*\.?[^*/:]+$/.test(tidy))
    return undefined;
  const untagged = tidy.includes("/") ? tidy.replace(/[:@]\*+$/, "") : tidy;
  const plain = untagged.replace(/\/\*{1,2}$/, "");
  if (!plain.includes("*")) return { whole: plain };
  const fixed = untagged.slice(0, untagged.indexOf("*"));
  const folder = fixed.slice(0, Math.max(fixed.lastIndexOf("/"), 0));
  const repository = /^[^*]*\/[^*/]*(?=:[^/]*$)/.exec(untagged)?.[0];
  const whole = repository ?? (folder.includes("/") ? folder : undefined);
  return { pattern: untagged, ...(whole !== undefined && { whole }) };
}

/** The one of an image's names that a pattern, read with some goodwill, is about. */
export function matchScopePattern(pattern: string, names: readonly string[]): string | undefined {
  const parts = partsOf(loosened(pattern.toLowerCase()));
  return names.find((name) => {
    const others = partsOf(name);
    return (
      !name.startsWith("*") &&
      parts.length === others.length &&
      parts.every((part, at) => isGlobOf(part, others[at] ?? ""))
    );
  });
}

/** As an expression's `.*`, and as `team-*`, which is written for `team` as well. */
function loosened(pattern: string): string {
  return pattern.replaceAll(/:\*+(?=\/|$)/g, "*").replaceAll(/[-_.]+\*+(?=\/|$)/g, "*");
}

/** A tag is a part of its own. */
function partsOf(name: string): readonly string[] {
  const parts = name.split("/");
  const last = parts.length > 1 ? (parts.pop() ?? "").split(":") : [];
  return [...parts, ...last];
}

/** Whether `*` being anything makes the text, without ever going back by more than one `*`. */
function isGlobOf(glob: string, text: string): boolean {
  let at = 0;
  let begin = 0;
  let star = -1;
  let mark = 0;
  while (begin < text.length) {
    if (glob[at] === "*") {
      star = at;
      mark = begin;
      at += 1;
    } else if (glob[at] === text[begin]) {
      at += 1;
      begin += 1;
    } else if (star === -1) {
      return false;
    } else {
      at = star + 1;
      mark += 1;
      begin = mark;
    }
  }
  return /^\**$/.test(glob.slice(at));
}
