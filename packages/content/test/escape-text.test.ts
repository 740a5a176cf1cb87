import { escapeText } from "@stowage/content";
import { expect, test } from "vitest";

test.for([
  ["a terminal's escape", "a\u001b[2Jb", String.raw`a\u{1b}[2Jb`],
  ["a newline and a NUL", "a\n\0b", String.raw`a\u{a}\u{0}b`],
  ["a right-to-left override", "a\u202eb", String.raw`a\u{202e}b`],
  ["a lone surrogate", "a\ud800b", String.raw`a\u{d800}b`],
] as const)("R01: shows %s as text", ([, text, shown]) => {
  expect(escapeText(text)).toBe(shown);
});

test("leaves other letters alone, in pairs too", () => {
  expect(escapeText("größe 日本 𝄞")).toBe("größe 日本 𝄞");
});

test("cuts what is too long", () => {
  expect(escapeText("a".repeat(300))).toBe(`${"a".repeat(256)}…`);
});
