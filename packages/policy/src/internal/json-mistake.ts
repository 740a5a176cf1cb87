/**
 * What people write who are used to other languages than JSON, told by its looks.
 *
 * @module
 */
import { escapeText } from "@stowage/content";

import { lineAt } from "./json-lines.ts";

/**
 * What is wrong where a reader of JSON stopped, and what to do; `undefined` if it looks like nothing
 * that is known.
 *
 * @param index - of the first character that it could not take.
 */
export function findJsonMistake(text: string, index: number): string | undefined {
  if (isYaml(text))
    return 'it is YAML, and a policy is JSON, as in {"default": [{"type": "reject"}]}';
  const rest = text.slice(index, index + SEEN);
  const between = text.slice(0, index).trimEnd().slice(-1) + rest.slice(0, 1);
  // The reader has a word of its own for a comma too many.
  if (/^(?:[{[,],|,[}\]])$/.test(between)) return undefined;
  if (/^:[,}\]]$/.test(between)) return "the value behind the : is missing";
  return (
    MISTAKES.find(([begin]) => begin.test(rest))?.[1] ??
    wordMistake(rest) ??
    (rest.startsWith('"') ? quoteMistake(text, index) : undefined) ??
    (rest === "" ? endMistake(text) : undefined) ??
    strangeCharacter(rest)
  );
}

/** As much as says what it is. */
const SEEN = 200;

const CURLY = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u00ab\u00bb";
const MISTAKES: readonly (readonly [begin: RegExp, what: string])[] = [
  [/^(?:\/\/|\/\*|#)/, "it is a comment, and JSON has none: remove it"],
  [/^['`]/, 'it is in other quotes than JSON has: write "'],
  [/^\{/, "it is an object without a key: a list of objects stands in [ and ]"],
  [/^[}\]]/, "it closes what is not open, or what was opened by the other bracket"],
  [/^,/, "no list or object is open that would go on: a bracket was closed too early"],
  [/^=/, "write : between a key and its value"],
  [/^;/, "write a comma, or nothing behind the last"],
  [/^[+.]/, "numbers begin with a digit, or with - and one"],
];
const WORDS: Readonly<Record<string, string>> = {
  True: "true",
  TRUE: "true",
  yes: "true",
  on: "true",
  False: "false",
  FALSE: "false",
  no: "false",
  off: "false",
  None: "null",
  nil: "null",
  undefined: "null",
};

/** Keys at the beginning of lines, before any brace. */
function isYaml(text: string): boolean {
  const first = text.split("\n").find((line) => !/^\s*(?:#.*)?$/.test(line)) ?? "";
  return /^(?:---|%YAML|["']?[A-Za-z]+["']?\s*:(?:\s|$))/.test(first);
}

function wordMistake(rest: string): string | undefined {
  const [, word = "", colon] = /^-?([A-Za-z_$][\w$-]*)\s*(:)?/.exec(rest) ?? [];
  if (word === "") return undefined;
  if (colon !== undefined) return `it is a key without quotes: write "${escapeText(word, 40)}":`;
  if (/^(?:NaN|Infinity)$/.test(word))
    return `JSON has no ${word}: write a number, or leave it out`;
  // What else it is may be a password.
  if (!Object.hasOwn(WORDS, word))
    return 'it is a text without quotes: write " before and behind it';
  return `JSON has no word ${word}: write ${WORDS[word]}`;
}

/** Of a string that cannot be taken, or that stands where a comma or a colon belongs. */
function quoteMistake(text: string, index: number): string | undefined {
  const [line = ""] = text.slice(index, index + 2000).split("\n");
  const [whole] = /^"(?:[^"\\]|\\.)*"/.exec(line) ?? [];
  if (whole === undefined) {
    return curlyIn(line) ?? 'it does not end in its line: a " is missing, or one is behind a \\';
  }
  const [escape] = /\\(?:[^"\\/bfnrtu]|u(?![0-9a-fA-F]{4}))/.exec(whole) ?? [];
  if (escape !== undefined) return "a \\ in it stands before what it cannot: write \\\\ for one";
  if (/[\u0000-\u001f]/.test(whole)) return "it has a tab or another control: write \\t for a tab";
  const before = text.slice(0, index).trimEnd();
  if (/["\]}\dA-Za-z]$/.test(before)) {
    return `a comma is missing behind what ends in line ${lineAt(text, before.length)}`;
  }
  return undefined;
}

/** Where the text ends too soon, the line of the first bracket that is open still. */
function endMistake(text: string): string | undefined {
  const open: (readonly [bracket: string, index: number])[] = [];
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === "{" || token === "[") open.push([token, index]);
    else if (token === "}" || token === "]") open.pop();
  }
  const [first] = open;
  if (first === undefined) return undefined;
  const close = open.map(([bracket]) => (bracket === "{" ? "}" : "]")).toReversed();
  return `it ends before the ${first[0]} of line ${lineAt(text, first[1])} is closed: ${close.join(" ").slice(0, 40)} is missing`;
}

function strangeCharacter(rest: string): string | undefined {
  const [character = ""] = rest;
  const curly = CURLY.includes(character) && character !== "" ? curlyIn(character) : undefined;
  if (curly !== undefined) return curly;
  const code = character.codePointAt(0) ?? 0;
  return code < 0x7f ? undefined : `it is ${nameOf(code)}, which is nothing to JSON: remove it`;
}

function curlyIn(text: string): string | undefined {
  const found = [...text].find((character) => CURLY.includes(character));
  if (found === undefined) return undefined;
  const shown = `${found} (${nameOf(found.codePointAt(0) ?? 0)})`;
  return `it has ${shown}, a quote as word processors write it: write " (U+0022)`;
}

function nameOf(code: number): string {
  const hex = code.toString(16).toUpperCase().padStart(4, "0");
  return code === 0xa0 ? `a blank of another kind (U+${hex})` : `U+${hex}`;
}
