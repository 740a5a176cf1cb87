import { join } from "node:path";

import { expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

const PASSWORD = "s3cr3t-of-mine";
const COMMANDS = [
  ["pull"],
  ["inspect"],
  ["tag", "name"],
  ["push", "name"],
  ["copy", "dir:/nowhere"],
  ["tags"],
  ["login", "--username", "me", "--password-stdin"],
  ["logout"],
  ["policy", "explain"],
  ["policy", "init", "--trust"],
  ["run"],
  ["serve", "--host"],
  ["status"],
  ["pod", "create"],
  ["sync", "docker://127.0.0.1:1/a"],
  ["completion"],
  ["gc", "--max-ingest-age"],
  ["gc", "--nonsense"],
  ["images"],
  [],
];

test("credentials typed before a name are told nowhere, and the hint says where they belong", async () => {
  await using world = await openCliWorld();
  const typed = [
    `http://user:${PASSWORD}@localhost:1/name`,
    `user:${PASSWORD}@localhost:1/name`,
    // Messages are cut.
    `user:${PASSWORD}-${"x".repeat(300)}@localhost:1/name`,
  ];
  for (const [index, words] of COMMANDS.entries()) {
    const name = typed[index % typed.length] ?? "";
    const how = index % 2 === 0 ? ["--format=json"] : [];
    const args = [...how, "--log-level=debug", ...words, name];
    const { code, stdout, stderr } = await world.run(args, { input: "pw" });
    expect({ words, code }).not.toEqual({ words, code: 0 });
    expect(`${stdout}${stderr}`).not.toContain(PASSWORD.slice(0, 6));
    if (stderr.includes("[redacted]")) expect(stderr).toContain("stowage login");
  }
  const flag = `--trust=https://user:${PASSWORD}@h/n`;
  const { stderr } = await world.run(["policy", "init", `--policy=${join(world.path, "p")}`, flag]);
  expect(stderr).toContain("[redacted]@h/n");
  expect(stderr).not.toContain(PASSWORD);
});
