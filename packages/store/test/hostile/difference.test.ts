import { hasPeer } from "@stowage/testkit";
import { expect, test } from "vitest";

import { compareReaders } from "../support/compare-readers.ts";

const ARCHIVES = 2000;
/** New archives are for the long form: what one of those shows first would stop somebody else's work. */
const KNOWN_SEED = 345_607_000;
/** On a machine that has other work. */
const TIMEOUT_MS = 300_000;
const WHY_NOT =
  process.getuid?.() !== 0 ? " (needs root)" : hasPeer("python3") ? "" : " (needs python3)";

test.skipIf(WHY_NOT !== "")(
  `V49 T28 T34 what GNU tar and Python make of generated archives, the unpacker makes of them, but for what is wanted${WHY_NOT}`,
  async () => {
    const seed = Number(process.env["STOWAGE_SEED"] ?? KNOWN_SEED);
    const { alike, refusedByAll, unwanted } = await compareReaders(seed, ARCHIVES);
    expect(unwanted, `seed ${seed}`).toEqual([]);
    // Most of them are what any writer makes; if they are not compared any more, this is no test.
    expect(alike).toBeGreaterThan(ARCHIVES * 0.4);
    expect(alike + refusedByAll).toBeGreaterThan(ARCHIVES * 0.75);
  },
  TIMEOUT_MS,
);
