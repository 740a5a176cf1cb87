/** A subject alternative name of a certificate. */
export interface Subject {
  readonly kind: "email" | "uri";
  readonly text: string;
}

/** Whether a subject is one that is meant. */
export type SubjectMatcher = (subject: Subject) => boolean;

const URL_WITH_HOST = /^https:\/\/[^*/]+\//;
const ADDRESS_AT_HOST = /^[^@]*@[^*@/]+\.[^*@/]+$/;

/**
 * Reads a pattern of whole subjects: `*` stands for any characters but a slash, `**` for any. It has
 * to name a host, where the names of others end; `undefined` if it does not. One with a scheme is of
 * URIs, any other of addresses.
 */
export function compilePattern(pattern: string): SubjectMatcher | undefined {
  const kind = URL_WITH_HOST.test(pattern) ? "uri" : "email";
  if (kind === "email" && !ADDRESS_AT_HOST.test(pattern)) return undefined;
  const tokens = tokensOf(pattern);
  return (subject) => subject.kind === kind && matches(tokens, subject.text);
}

type Token = { readonly star: "any" | "segment" } | { readonly character: string };

function tokensOf(pattern: string): readonly Token[] {
  return pattern.split(/(\*\*|\*)/).flatMap((part): readonly Token[] => {
    if (part === "**") return [{ star: "any" }];
    if (part === "*") return [{ star: "segment" }];
    return [...part].map((character) => ({ character }));
  });
}

/**
 * Follows all ways at once: a signer chooses the subject, and an expression that goes back for each
 * star would try for hours.
 */
function matches(tokens: readonly Token[], text: string): boolean {
  let places = passStars(tokens, new Set([0]));
  for (const character of text) {
    const next = new Set<number>();
    for (const place of places) {
      const token = tokens[place];
      if (token === undefined) continue;
      if ("star" in token) {
        if (token.star === "any" || character !== "/") next.add(place);
      } else if (token.character === character) {
        next.add(place + 1);
      }
    }
    if (next.size === 0) return false;
    places = passStars(tokens, next);
  }
  return places.has(tokens.length);
}

/** A star may stand for nothing. */
function passStars(tokens: readonly Token[], places: Set<number>): ReadonlySet<number> {
  // What is added while it is gone through is gone through as well.
  for (const place of places) {
    const token = tokens[place];
    if (token !== undefined && "star" in token) places.add(place + 1);
  }
  return places;
}
