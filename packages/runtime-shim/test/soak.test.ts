import { expect, test } from "vitest";

import { runSoak } from "./soak/soak.ts";
import { CAN_MOUNT } from "./support/runtime-world.ts";

const NEEDS_ROOT = CAN_MOUNT ? "" : " (needs root)";

test.skipIf(!CAN_MOUNT)(
  `P09, R22: 8 processes use overlapping images, some are killed, and nothing is lost, damaged or left${NEEDS_ROOT}`,
  async () => {
    const seed = Date.now() % 1_000_000;
    const report = await runSoak({
      processes: 8,
      orders: 160,
      durationMs: 120_000,
      killOneOf: 50,
      images: 8,
      seed,
    });
    const whole = { failures: [], lost: [], damages: [], leftovers: [] };
    expect(report, `seed ${seed}`).toMatchObject(whole);
    expect(report.orders).toBeGreaterThanOrEqual(160);
    for (const { fds } of report.growth) expect(fds, `seed ${seed}`).toBeLessThan(12);
  },
  180_000,
);
