/**
 * Where things stand in a JSON document that somebody has to correct.
 *
 * @module
 */

/** The way from the top of a document to something in it: keys, and indices of arrays. */
export type JsonSteps = readonly (string | number)[];

/** A key that stands twice in one object. */
export interface RepeatedKey {
  readonly key: string;
  /** Where it stands, counted from 1. */
  readonly lines: readonly [number, number];
}

/** The line that something begins in, counted from 1, and what is inside of it. */
export interface JsonLines {
  readonly line: number;
  readonly inner: ReadonlyMap<string | number, JsonLines>;
}

interface OpenLines extends JsonLines {
  readonly inner: Map<string | number, JsonLines>;
}

// A string, with the colon behind a key; a bracket; a comma; a number or a word.
const TOKEN = /("(?:[^"\\]|\\.)*")\s*(:)?|[{}[\],]|[^\s{}[\],:"]+/g;

/** The lines of all that is in a document that was read. A key begins what it names. */
export function readLines(text: string): JsonLines {
  const root: OpenLines = { line: 1, inner: new Map() };
  const open: { readonly lines: OpenLines; readonly isArray: boolean }[] = [];
  let last = root;
  let line = 1;
  let counted = 0;
  for (const [token, string, colon] of tokensOf(text)) {
    line += countLineEnds(text, counted, token.index);
    counted = token.index;
    if (token.text === ",") continue;
    if (token.text === "}" || token.text === "]") {
      open.pop();
      continue;
    }
    const parent = open.at(-1);
    if (parent !== undefined && (colon || parent.isArray)) {
      last = { line, inner: new Map() };
      const { inner } = parent.lines;
      inner.set(colon ? (JSON.parse(string ?? "") as string) : inner.size, last);
    }
    if (token.text === "{" || token.text === "[")
      open.push({ lines: last, isArray: token.text === "[" });
  }
  return root;
}

/** The line of what the steps lead to or, of what is not there, of what it would be in. */
export function lineOf(lines: JsonLines, steps: JsonSteps): number {
  let at = lines;
  for (const step of steps) at = at.inner.get(step) ?? { line: at.line, inner: NOTHING };
  return at.line;
}

const NOTHING: ReadonlyMap<string | number, JsonLines> = new Map();

/** The first key that stands twice in one object. */
export function findRepeatedKey(text: string): RepeatedKey | undefined {
  const open: Map<string, number>[] = [];
  for (const [token, string, colon] of tokensOf(text)) {
    if (token.text === "{" || token.text === "[") open.push(new Map());
    else if (token.text === "}" || token.text === "]") open.pop();
    else if (string !== undefined && colon) {
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

/** The line of a character, counted from 1. */
export function lineAt(text: string, index: number): number {
  return 1 + countLineEnds(text, 0, index);
}

function countLineEnds(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf("\n", from); at !== -1 && at < to; at = text.indexOf("\n", at + 1)) {
    count += 1;
  }
  return count;
}
