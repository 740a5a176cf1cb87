import { expect, test } from "vitest";

import { addTallies, formatTally } from "../src/tally.ts";

test("adds up the closing lines, and no others", () => {
  const output =
    "3 passed, 0 failed, 1 skipped\nit says 9 passed, 9 failed, 9 skipped\n4 passed, 2 failed, 0 skipped\n";
  expect(addTallies(output)).toEqual({ passed: 7, failed: 2, skipped: 1 });
});

test("is written as it is read", () => {
  const tally = { passed: 5, failed: 1, skipped: 2 };
  expect(addTallies(`${formatTally(tally)}\n`)).toEqual(tally);
});
