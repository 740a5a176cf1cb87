import { describe, expect, test } from "vitest";

import { commitSeed } from "../src/commit-seed.ts";
import { openCrashWorld } from "../src/crash-world.ts";
import { ALL_SYNCS, cutPower, type PowerCutReport } from "../src/cut-power.ts";
import { FILESYSTEMS, whatFilesystemNeeds } from "../src/loop-filesystem.ts";
import { SCENARIOS } from "../src/scenarios.ts";
import { WHAT_STEPPING_NEEDS } from "../src/step-tracer.ts";

const SEED = commitSeed();
const MAX_CUTS = 8;
const scenario = SCENARIOS[SEED % SCENARIOS.length] ?? SCENARIOS[0];
const strict = FILESYSTEMS.find(({ name }) => name === "ext4 noauto_da_alloc");
const pull = SCENARIOS.find(({ name }) => name === "pull");

describe.for(FILESYSTEMS.map((filesystem) => [filesystem.name, filesystem] as const))(
  "a power cut on %s",
  ([, filesystem]) => {
    const lacking = WHAT_STEPPING_NEEDS || whatFilesystemNeeds(filesystem);
    // Each commit has its turn on one of them, and on the strictest.
    const isTurn = FILESYSTEMS[SEED % FILESYSTEMS.length] === filesystem || filesystem === strict;
    const reason = lacking ? ` (needs ${lacking})` : isTurn ? "" : " (another commit's turn)";

    test.skipIf(reason !== "")(
      `W01, W02, W03, W07: loses nothing that was acknowledged, at any step of ${scenario?.name}${reason}`,
      async () => {
        await using world = await openCrashWorld();
        const report = await cutPower({
          world,
          filesystem,
          scenario: scenario!,
          maxCuts: MAX_CUTS,
        });
        expect(report.cuts.length).toBeGreaterThan(1);
        expect(badCuts(report), `seed ${SEED}`).toEqual([]);
      },
      180_000,
    );
  },
);

const LACKING = WHAT_STEPPING_NEEDS || (strict ? whatFilesystemNeeds(strict) : "ext4");

const UNSYNCED = [
  ["whose layers are not synced", ["syncfs"]],
  ["that syncs nothing", ALL_SYNCS],
] as const;

describe.skipIf(LACKING !== "")(`the same cuts${LACKING && ` (needs ${LACKING})`}`, () => {
  test.for(UNSYNCED)("catch a build %s", { timeout: 180_000 }, async ([, without]) => {
    await using world = await openCrashWorld();
    const options = { world, filesystem: strict!, scenario: pull!, without, maxCuts: 1 };
    expect(badCuts(await cutPower(options))).not.toEqual([]);
  });
});

function badCuts({ cuts }: PowerCutReport): PowerCutReport["cuts"] {
  return cuts.filter(({ problems }) => problems.length > 0);
}
