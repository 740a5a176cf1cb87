import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

import { BUILT_MAIN } from "./support/built-main.ts";

const run = promisify(execFile);

test("npm's link starts it with what it was called with, in one process and with little for young objects", async () => {
  await using folder = await tempDir("stowage-installed-");
  const bin = join(folder.path, "a bin");
  await mkdir(bin);
  await symlink(BUILT_MAIN, join(bin, "stowage"));
  const told = join(folder.path, "told.json");
  const probe = join(folder.path, "probe.cjs");
  await writeFile(
    probe,
    `const { argv, execArgv, pid } = process;
    require("node:fs").writeFileSync(${JSON.stringify(told)}, JSON.stringify({ argv: argv.slice(2), execArgv, pid }));`,
  );
  const env = {
    PATH: [bin, dirname(process.execPath), process.env["PATH"]].join(delimiter),
    HOME: folder.path,
    NODE_OPTIONS: `--require=${probe}`,
  };

  const started = run("stowage", ["inspect", "", "two words", "$HOME;'\"*"], { env });
  await expect(started).rejects.toMatchObject({ code: 2 });

  expect(JSON.parse(await readFile(told, "utf8"))).toEqual({
    argv: ["inspect", "", "two words", "$HOME;'\"*"],
    execArgv: ["--max-semi-space-size=1"],
    pid: started.child.pid,
  });
});
