import { parsePolicy, type PolicyError } from "@stowage/policy";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { policyErrorOf } from "./support/policy-error.ts";

const DEFAULT = '"default": [{"type": "reject"}]';

describe("a policy in another language than JSON is told of by its line, as", () => {
  test.for([
    ["a comment", `{\n// ours\n${DEFAULT}}`, 2, "it is a comment, and JSON has none: remove it"],
    ["a comment behind", `{\n${DEFAULT}, # ours\n"transports": {}}`, 2, "it is a comment"],
    ["a comment in stars", `{\n${DEFAULT}\n/* ours */}`, 3, "it is a comment"],
    ["a comment in front", `// ours\n{${DEFAULT}}`, 1, "it is a comment"],
    [
      "single quotes",
      `{"default":\n[{"type": 'reject'}]}`,
      2,
      'other quotes than JSON has: write "',
    ],
    ["no value before a comma", `{\n"default":, "transports": {}}`, 2, "the value behind the : is"],
    ["no value before a brace", `{${DEFAULT},\n"transports": }`, 2, "the value behind the : is"],
    ["single quotes of a key", `{\n'default': []}`, 2, "other quotes than JSON has"],
    ["curly quotes", `{"default":\n[{"type": “reject”}]}`, 2, "“ (U+201C), a quote as word"],
    ["a curly quote at the end", `{"default":\n[{"type": "reject”}]}`, 2, "” (U+201D), a quote as"],
    ["low quotes", `{\n„default“: []}`, 2, "„ (U+201E), a quote as word processors"],
    ["a blank that is none", `{\n\u00a0${DEFAULT}}`, 2, "a blank of another kind (U+00A0)"],
    ["an invisible character", `{\n\u200b${DEFAULT}}`, 2, "it is U+200B, which is nothing to JSON"],
    [
      "YAML",
      "# ours\ndefault:\n  - type: reject\n",
      1,
      "it is YAML, and a policy is JSON, as in {",
    ],
    ["YAML with a beginning", "---\ndefault: []\n", 1, "it is YAML"],
    ["a key without quotes", `{\ndefault: []}`, 2, 'a key without quotes: write "default":'],
    ["NaN", `{"default": [{"type": "anyOf",\n"threshold": NaN}]}`, 2, "JSON has no NaN"],
    ["-Infinity", `{"default": [{"type": "anyOf",\n"threshold": -Infinity}]}`, 2, "no Infinity"],
    ["Python", `{"default":\nTrue}`, 2, "JSON has no word True: write true"],
    ["a word", `{"default":\n[{"type": reject}]}`, 2, 'text without quotes: write " before and'],
    ["a list in braces", `{"default":\n{{"type": "reject"}}}`, 2, "a list of objects stands in ["],
    ["a comma too few", `{"default": [{"type": "reject"}]\n\n"transports": {}}`, 3, "line 1"],
    [
      "a brace too few",
      `{\n${DEFAULT}`,
      2,
      "it ends before the { of line 1 is closed: } is missing",
    ],
    ["a brace too many", `{${DEFAULT}}\n}`, 2, "it closes what is not open"],
    ["a bracket of the other kind", `{"default": [{"type": "reject"]\n}`, 1, "the other bracket"],
    ["a quote too few", `{"default": [{"type": "reject}]}`, 1, 'a " is missing'],
    ["a backslash", `{"default":\n[{"type": "a\\k"}]}`, 2, "write \\\\ for one"],
    ["a tab", `{"default":\n[{"type": "a\tk"}]}`, 2, "write \\t for a tab"],
    ["an equals sign", `{\n"default" = []}`, 2, "write : between a key and its value"],
  ] as const)("%s", ([, text, line, words]) => {
    const error = policyErrorOf(text);
    expect(error.code).toBe("ERR_POLICY_INVALID_CONFIG");
    expect(error.message).toContain(`(line ${line}, column `);
    expect(error.message).toContain(words);
  });

  test("a comma too few, behind what is before it", () => {
    expect(policyErrorOf(`{${DEFAULT}\n\n"transports": {}}`).message).toContain(
      "a comma is missing behind what ends in line 1",
    );
  });

  test("whatever it is, in one line that a terminal can take, and soon", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(), (text, place) => {
        const whole = `{${DEFAULT}, "transports": {"docker": {"q.io": [{"type": "reject"}]}}}`;
        const at = place % whole.length;
        const message = messageOf(whole.slice(0, at) + text + whole.slice(at));
        expect(message).not.toMatch(/[\p{Cc}\u200b-\u200f\u202a-\u202e]/u);
      }),
    );
    // Quadratic time would not end in time.
    for (const part of ["[", '"', "“", "a ", "{", "#\n", "- a\n"])
      policyErrorOf(part.repeat(1_000_000));
  });
});

describe("a requirement that has", () => {
  test("a type that is an object is told of as any other", () => {
    expect(policyErrorOf('{"default": {"type": {}}}').message).toContain(
      "write [ and ] around them",
    );
    expect(policyErrorOf('{"default": [{"type": {}}]}').message).toContain("type is not a string");
  });
});

/** Of what may be a policy after all, none. */
function messageOf(text: string): string {
  try {
    parsePolicy(text);
    return "";
  } catch (error) {
    return (error as PolicyError).message;
  }
}
