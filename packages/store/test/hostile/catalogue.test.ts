import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

const TESTS = join(import.meta.dirname, "..");
const ROW = /\b[DKTVZ]\d\d\b/g;
const QUOTED = /(["'`])(?:(?!\1)[^\\\n]|\\.)*\1/g;

const rows = (letter: string, from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, n) => `${letter}${String(from + n).padStart(2, "0")}`);
const ARCHIVES = [...rows("T", 1, 48), ...rows("Z", 1, 14)];
const CATALOGUE = [
  ...ARCHIVES,
  ...rows("K", 1, 20),
  // Of disks; descriptors of content have the same letter, and tests of their own.
  ...rows("D", 1, 22),
  ...rows("V", 20, 34),
  ...rows("V", 40, 52),
  ...rows("V", 60, 66),
];
/** How the bytes of a stream come and end: nothing is made of them. */
const FILELESS = ["Z12", "Z13", "Z14"];
/** What compares the world beside a layer with what it was. */
const WATCHES = /\b(?:openLayerBench|makeCanaryWorld)\(/;

test("each row of the catalogue is in the name of a test, or in the README with its reason", () => {
  const named = new Set(testNames().flatMap((name) => name.match(ROW) ?? []));
  const excused = excuses();
  expect(CATALOGUE.filter((row) => !named.has(row) && !excused.has(row))).toEqual([]);
  expect([...excused].filter((row) => named.has(row))).toEqual([]);
});

test("each row of archives and streams is shown beside a world that nothing may touch", () => {
  const watched = new Set(testNames(WATCHES).flatMap((name) => name.match(ROW) ?? []));
  const bare = ARCHIVES.filter((row) => !watched.has(row) && !excuses().has(row));
  expect(bare).toEqual(FILELESS);
});

/** All quoted text of the tests but that of this file: among it, the names. */
function testNames(uses = /(?:)/): readonly string[] {
  return readdirSync(TESTS, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts") && !path.endsWith("catalogue.test.ts"))
    .map((path) => readFileSync(join(TESTS, path), "utf8"))
    .filter((text) => uses.test(text))
    .flatMap((text) => text.match(QUOTED) ?? []);
}

function excuses(): ReadonlySet<string> {
  const text = readFileSync(join(import.meta.dirname, "README.md"), "utf8");
  const table = /\| row \| why no test here \|\n[^\n]*\n((?:\|.*\n)*)/.exec(text)?.[1] ?? "";
  return new Set(
    [...table.matchAll(/^\| ([DKTVZ]\d\d) \| .{20,} \|$/gm)].map(([, row = ""]) => row),
  );
}
