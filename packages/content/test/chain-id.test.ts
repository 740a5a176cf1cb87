import { chainIDs, digestOf, parseDigest } from "@stowage/content";
import { expect, test } from "vitest";

test("the first chain ID is the first diff ID; each next one hashes both", () => {
  const a = digestOf(Buffer.from("a"));
  const b = digestOf(Buffer.from("b"));
  const both = digestOf(Buffer.from(`${a} ${b}`));
  const c = parseDigest(`sha256:${"c".repeat(64)}`);
  expect(chainIDs([a, b, c])).toEqual([a, both, digestOf(Buffer.from(`${both} ${c}`))]);
  expect(chainIDs([])).toEqual([]);
});
