import { expect, test } from "vitest";

import { commitSeed } from "../src/commit-seed.ts";
import { FAULTS, RARE_FAULTS } from "../src/crash-at-step.ts";
import { runMatrix } from "../src/kill-matrix.ts";
import { SCENARIOS } from "../src/scenarios.ts";
import { shuffle } from "../src/shuffle.ts";
import { WHAT_STEPPING_NEEDS } from "../src/step-tracer.ts";

const LACKING = process.getuid?.() === 0 ? WHAT_STEPPING_NEEDS : "root";
const NEEDS = LACKING === "" ? "" : ` (needs ${LACKING})`;
const COMMANDS = 3;
const CELLS = 24;
const TIME_LIMIT_MS = 20_000;

test.skipIf(NEEDS !== "")(
  `P01, P02, P03, D01, D02, D06, D07, D10: whatever step a command is cut off at, nothing is lost and it works when it is given again${NEEDS}`,
  async () => {
    const seed = commitSeed();
    const scenarios = shuffle(SCENARIOS, seed).slice(0, COMMANDS);
    const faults = [...FAULTS, ...RARE_FAULTS];
    const options = { scenarios, faults, seed, sample: CELLS, timeLimitMs: TIME_LIMIT_MS };
    const { crashes, cells } = await runMatrix(options);
    process.stdout.write(`${crashes.length} of ${cells} cells, seed ${seed}\n`);
    expect(crashes.length).toBeGreaterThan(0);
    expect(
      crashes.filter(({ problems }) => problems.length > 0),
      `seed ${seed}`,
    ).toEqual([]);
  },
  180_000,
);
