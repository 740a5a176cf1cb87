import { randomBytes } from "node:crypto";

import { hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { runKillRounds } from "./support/kill-rounds.ts";

const MEGABYTE = 1_000_000;

describe.runIf(hasPeer("docker-registry"))("R18: a pull from docker-registry, if installed", () => {
  test("that is killed again and again, and the registry with it, transfers little twice", async () => {
    const seed = randomBytes(4).toString("hex");
    const rounds = await runKillRounds({
      seed,
      layers: [16 * MEGABYTE, 6 * MEGABYTE],
      kills: 3,
      restartRegistry: true,
      linkRate: 8 * MEGABYTE,
    });
    const { canonical, expected, killed, sound, transferred, size } = rounds;
    const seen = { canonical, killed, sound };
    expect(seen, seed).toEqual({ canonical: expected, killed: 3, sound: true });
    // A kill loses what lies in the kernel's buffers; without resuming it would lose all so far.
    expect(transferred, seed).toBeLessThan(1.5 * size);
  });
});
