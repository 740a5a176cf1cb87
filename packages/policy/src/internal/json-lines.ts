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

/**
 * The line of the last of `keys`, each a key of what the one before it has, counted from 1. All of
 * them are there.
 */
export function lineOfKey(text: string, keys: readonly string[]): number | undefined {
  let depth = 0;
  let matched = 0;
  for (const [token, string, colon] of tokensOf(text)) {
    if (string === undefined) {
      depth += token.text === "{" || token.text === "[" ? 1 : -1;
    } else if (colon && depth === matched + 1 && JSON.parse(string) === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return lineAt(text, token.index);
    }
  }
  return undefined;
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
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1)) {
    line += 1;
  }
  return line;
}
