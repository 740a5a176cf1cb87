import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

// `script` gives a command a terminal, and passes on what it is given.
const ON_TERMINAL = [
  "sh",
  "-c",
  `words=; for word; do words="$words '$word'"; done; exec script -qec "$words" /dev/null`,
  "sh",
];

describe.skipIf(!hasPeer("script"))("policy init on a terminal (if script is installed)", () => {
  test("asks whom to trust, and what it writes lets a pull through", async () => {
    await using world = await openCliWorld();
    const policy = join(world.path, "asked.json");
    const asking = world.start(["--policy", policy, "policy", "init"], {
      wrap: ON_TERMINAL,
      input: null,
    });
    await asking.printed("to trust");
    asking.type(`${world.host} registry.example.com/team\n`);
    const { code, stdout } = await asking.outcome;
    expect([code, stdout.includes(policy)]).toEqual([0, true]);
    const { default: others, transports } = JSON.parse(await readFile(policy, "utf8"));
    expect(others).toEqual([{ type: "reject" }]);
    expect(Object.keys(transports.docker).toSorted()).toEqual(
      [world.host, "registry.example.com/team"].toSorted(),
    );
    await world.ok("--policy", policy, "pull", "--tls-verify=false", world.image);
  });

  test("writes nothing if nobody is named, or it is interrupted", async () => {
    await using world = await openCliWorld();
    const policy = join(world.path, "asked.json");
    for (const [answer, expected] of [
      ["\n", 2],
      ["\u0004", 2],
      ["\u0003", 130],
    ] as const) {
      const asking = world.start(["--policy", policy, "policy", "init"], {
        wrap: ON_TERMINAL,
        input: null,
      });
      await asking.printed("to trust");
      asking.type(answer);
      expect((await asking.outcome).code).toBe(expected);
      await expect(readFile(policy)).rejects.toMatchObject({ code: "ENOENT" });
    }
  });
});
