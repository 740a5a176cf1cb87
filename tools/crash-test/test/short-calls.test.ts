import { expect, describe, test } from "vitest";

import { problemsAfter } from "../src/crash-at-step.ts";
import { openCrashWorld } from "../src/crash-world.ts";
import { SCENARIOS } from "../src/scenarios.ts";
import { runStepped, WHAT_STEPPING_NEEDS } from "../src/step-tracer.ts";
import { STOWAGE_WORDS, stowageEnv } from "../src/stowage.ts";

const NEEDS = WHAT_STEPPING_NEEDS === "" ? "" : ` (needs ${WHAT_STEPPING_NEEDS})`;
/** Shorter than any record, and than most headers. */
const AT_MOST = 61;
const LENGTHY = ["read", "pread64", "write", "pwrite64", "copy_file_range", "sendfile"];
const NAMES = ["first pull", "create", "start", "export podman", "fsck"];

describe.skipIf(NEEDS !== "")(
  `where no call reads or writes more than ${AT_MOST} bytes${NEEDS}`,
  () => {
    test.for(SCENARIOS.filter(({ name }) => NAMES.includes(name)))(
      "D11: $name does all that it should",
      { timeout: 120_000 },
      async (scenario) => {
        await using world = await openCrashWorld();
        const { place } = world;
        await world.restore(scenario.state, place);
        let shortened = 0;
        const { code, stderr } = await runStepped({
          words: [...STOWAGE_WORDS, ...scenario.args(world, place)],
          env: stowageEnv(place),
          directories: [place.root, place.runRoot, place.exportDir],
          withReads: true,
          decide({ call }) {
            if (!LENGTHY.includes(call)) return "go";
            shortened += 1;
            return { atMost: AT_MOST };
          },
        });
        expect({ code, stderr }).toMatchObject({ code: 0 });
        expect(shortened).toBeGreaterThan(10);
        expect(await problemsAfter(world, scenario, place, true)).toEqual([]);
      },
    );
  },
);
