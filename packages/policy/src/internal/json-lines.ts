/**
 * Where things stand in a JSON document that somebody has to correct.
 *
 * @module
 */

/** A key that stands twice in one object. */
export interface RepeatedKey {
  readonly key: string;
  /** Where it stands, counted from 1. */
  readonly lines: readonly [number, number];
}

// What is no string and no bracket says nothing here.
const TOKEN = /("(?:[^"\\]|\\.)*")\s*(:)?|[{}[\]]/g;

/** Transport to scope to the line that it stands in, counted from 1. */
export type ScopeLines = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** The lines of all scopes of a policy that was read. */
export function linesOfScopes(text: string): ScopeLines {
  const lines = new Map<string, Map<string, number>>();
  const keys: string[] = [];
  let depth = 0;
  let line = 1;
  let counted = 0;
  for (const [token, string, colon] of tokensOf(text)) {
    if (string === undefined) {
      depth += token.text === "{" || token.text === "[" ? 1 : -1;
    } else if (colon && depth <= 3) {
      keys[depth] = JSON.parse(string) as string;
      const [, top, transport = "", scope = ""] = keys;
      if (depth < 3 || top !== "transports") continue;
      line += countLineEnds(text, counted, token.index);
      counted = token.index;
      const known = lines.get(transport) ?? new Map<string, number>();
      lines.set(transport, known.set(scope, line));
    }
  }
  return lines;
}

/** The first key that stands twice in one object. */
export function findRepeatedKey(text: string): RepeatedKey | undefined {
  const open: Map<string, number>[] = [];
  for (const [token, string, colon] of tokensOf(text)) {
    if (string === undefined) {
      if (token.text === "{" || token.text === "[") open.push(new Map());
      else open.pop();
    } else if (colon) {
      const key = JSON.parse(string) as string;
      const first = open.at(-1)?.get(key);
      if (first !== undefined)
        return { key, lines: [lineAt(text, first), lineAt(text, token.index)] };
      open.at(-1)?.set(key, token.index);
    }
  }
  return undefined;
}

interface Token {
  readonly text: string;
  readonly index: number;
}

function* tokensOf(text: string): Generator<readonly [Token, string | undefined, boolean]> {
  for (const { 0: token, 1: string, 2: colon, index } of text.matchAll(TOKEN)) {
    yield [{ text: token, index }, string, colon !== undefined];
  }
}

function lineAt(text: string, index: number): number {
  return 1 + countLineEnds(text, 0, index);
}

function countLineEnds(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf("\n", from); at !== -1 && at < to; at = text.indexOf("\n", at + 1)) {
    count += 1;
  }
  return count;
}
