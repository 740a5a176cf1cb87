import { expect, test } from "vitest";

import { fuzzOnce } from "../support/fuzz-readers.ts";

const CASES = 1500;

test("V50 T27 T30 Z07 random and damaged bytes end in entries or in an error with a name, and end", async () => {
  const seed = Number(process.env["STOWAGE_SEED"] ?? Date.now() % 2 ** 31);
  for (let index = 0; index < CASES; index += 1) {
    expect(await fuzzOnce(seed + index), `seed ${seed + index}`).toBeUndefined();
  }
});
