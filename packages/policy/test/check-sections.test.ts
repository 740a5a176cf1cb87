import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { checkPolicy, loadRegistriesD, parsePolicy, type PolicyProblem } from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const REJECT = [{ type: "reject" }];

describe("checkPolicy, of a section whose name is nearly one of the policy's, warns:", () => {
  test.for([
    ["q.io/taem", "q.io/team", "q.io/team"],
    ["q.io/team/ap", "q.io/team/app:1", "q.io/team/app"],
    ["registry.exmple.com", "registry.example.com/team", "registry.example.com"],
    ["Registry.example.com/team", "registry.example.com/team", "registry.example.com/team"],
  ] as const)("%s for %s", async ([section, scope, meant]) => {
    await using folder = await tempDir();
    expect(await check(folder.path, `docker:\n  "${section}": {}`, scope)).toEqual([
      {
        severity: "warning",
        path: join(folder.path, "a.yaml"),
        problem: expect.stringContaining(`docker["${section}"] in line 2`),
        remedy: expect.stringContaining(`docker["${meant}"]`),
      },
    ]);
  });

  test.for([
    ["is above a scope", "q.io: {}", "q.io/team"],
    ["is below one", "q.io/team/app: {}", "q.io/team"],
    ["is of other images", "r.example.com/other: {}", "r.example.com/team"],
    ["stands beside the right one", "q.io/team: {}, q.io/taem: {}", "q.io/team"],
    ["has another number", "q.io/team1: {}", "q.io/team2"],
  ] as const)("none where it %s", async ([, sections, scope]) => {
    await using folder = await tempDir();
    expect(await check(folder.path, `docker: {${sections}}`, scope)).toEqual([]);
  });
});

describe("checkPolicy, of a section with lookaside-staging alone,", () => {
  test.for([
    "docker: {q.io: {lookaside-staging: 'file:///s'}}",
    "default-docker: {lookaside-staging: 'file:///s'}",
  ])("warns that nobody reads there: %s", async (yaml) => {
    await using folder = await tempDir();
    expect(await check(folder.path, yaml, "q.io")).toMatchObject([
      {
        severity: "warning",
        problem: expect.stringContaining("in line 1 with a lookaside-staging"),
      },
    ]);
  });

  test("does not where a wider section, or itself, has a lookaside", async () => {
    await using folder = await tempDir();
    const [staging, both] = ["lookaside-staging: 'https://s'", "lookaside: 'https://r'"];
    for (const yaml of [
      `docker: {q.io: {${both}}, q.io/a: {${staging}}}`,
      `docker: {q.io: {${staging}, ${both}}}`,
      `default-docker: {${both}}\ndocker: {q.io: {${staging}}}`,
    ])
      expect(await check(folder.path, yaml, "q.io")).toEqual([]);
  });
});

async function check(
  directory: string,
  yaml: string,
  scope: string,
): Promise<readonly PolicyProblem[]> {
  await writeFile(join(directory, "a.yaml"), yaml);
  const transports = { docker: { [scope]: REJECT } };
  const policy = parsePolicy(JSON.stringify({ default: REJECT, transports }));
  return await checkPolicy(policy, { registriesD: await loadRegistriesD({ directory }) });
}
