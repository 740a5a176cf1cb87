import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

const TESTS = join(import.meta.dirname, "..");
const ROWS = readFileSync(join(TESTS, "vectors/catalogue-rows.txt"), "utf8").trim().split("\n");
const README = readFileSync(join(TESTS, "../README.md"), "utf8");
// The name that a test is called by, or that its table gives to one: the first text after a bracket.
const LITERAL = /[([]\s*(?:"[^"\n]*"|`[^`\n]*`)/gu;

describe("the catalogue", () => {
  test("has all its rows here: hostile answers, faults of the network, past vulnerabilities", () => {
    expect(ROWS.filter((row) => row.startsWith("H"))).toHaveLength(40);
    expect(ROWS.filter((row) => row.startsWith("N"))).toHaveLength(32);
    expect(ROWS.filter((row) => row.startsWith("V"))).toHaveLength(15);
  });

  test("has each row in the name of a test, or among those that the README says cannot be met", () => {
    const named = new Set(testNames().flatMap((name) => name.match(/\b[HNV]\d\d\b/gu) ?? []));
    const unmet = new Set(unmetRows());
    expect(ROWS.filter((row) => !named.has(row) && !unmet.has(row))).toEqual([]);
  });

  test("has a reason for each row that cannot be met, and no row that there is not", () => {
    expect(unmetRows().filter((row) => !ROWS.includes(row))).toEqual([]);
    for (const line of unmetLines()) expect(line).toMatch(/^- [HNV]\d\d(?:, [HNV]\d\d)*: .{20,}/u);
  });
});

function testNames(): readonly string[] {
  return readdirSync(TESTS, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts") && !path.endsWith("rows.test.ts"))
    .flatMap((path) => readFileSync(join(TESTS, path), "utf8").match(LITERAL) ?? []);
}

function unmetLines(): readonly string[] {
  const [, after = ""] = README.split("\nCannot be produced here:\n\n");
  const [list = ""] = after.split("\n\n");
  return list.split("\n").filter((line) => line !== "");
}

function unmetRows(): readonly string[] {
  return unmetLines().flatMap((line) => /^- ([^:]*)/u.exec(line)?.[1]?.split(", ") ?? []);
}
