import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

const TESTS = join(import.meta.dirname, "..");
const QUOTED = /(["'`])(?:(?!\1)[^\\\n]|\\.)*\1/g;

const rows = (letter: string, from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, n) => `${letter}${String(from + n).padStart(2, "0")}`);
const CATALOGUE = [
  ...rows("T", 1, 48),
  ...rows("Z", 1, 14),
  ...rows("V", 40, 52),
  ...rows("V", 60, 66),
];

test("each row of the catalogue is in the name of a test, or in the README with its reason", () => {
  const named = new Set(testNames().flatMap((name) => name.match(/\b[TVZ]\d\d\b/g) ?? []));
  const excused = excuses();
  expect(CATALOGUE.filter((row) => !named.has(row) && !excused.has(row))).toEqual([]);
  expect([...excused].filter((row) => named.has(row))).toEqual([]);
});

/** All quoted text of the tests but that of this file: among it, the names. */
function testNames(): readonly string[] {
  return readdirSync(TESTS, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts") && !path.endsWith("catalogue.test.ts"))
    .flatMap((path) => readFileSync(join(TESTS, path), "utf8").match(QUOTED) ?? []);
}

function excuses(): ReadonlySet<string> {
  const text = readFileSync(join(import.meta.dirname, "README.md"), "utf8");
  const table = /\| row \| why no test here \|\n[^\n]*\n((?:\|.*\n)*)/.exec(text)?.[1] ?? "";
  return new Set([...table.matchAll(/^\| ([TVZ]\d\d) \| .{20,} \|$/gm)].map(([, row = ""]) => row));
}
