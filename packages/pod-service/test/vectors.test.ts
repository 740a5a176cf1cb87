import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import vectors from "./vectors/runtime-metadata.json" with { type: "json" };

/** Not tested here, each for the reason that the README gives. */
const ELSEWHERE = new Set(["PM-14", "PM-16", "PM-20", "PM-22", "PM-23", "PM-31", "PM-33", "PM-37"]);

test("every vector of runtime-metadata.json is in the name of a test, or in the README", async () => {
  const names = await readdir(import.meta.dirname);
  const files = names.filter((name) => name.endsWith(".test.ts") && name !== "vectors.test.ts");
  const texts = await Promise.all(
    files.map((name) => readFile(join(import.meta.dirname, name), "utf8")),
  );
  const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
  const missing = vectors
    .map(({ id }) => id)
    .filter((id) => !(ELSEWHERE.has(id) ? [readme] : texts).some((text) => text.includes(id)));
  expect(missing).toEqual([]);
});
