import { execFile } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

const PACKAGE = join(import.meta.dirname, "..");

test("the first example of the README runs", async () => {
  await using folder = await tempDir();
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  const [, first = ""] = Array.from(readme.matchAll(/```sh\n([\s\S]*?)```/g), ([, code]) => code);
  expect(first).toContain("stowage policy init");
  const command = join(folder.path, "stowage");
  const main = join(PACKAGE, "src/main.ts");
  await writeFile(
    command,
    `#!/bin/sh\nexec "${process.execPath}" --conditions=@stowage/source "${main}" "$@"\n`,
  );
  await chmod(command, 0o755);
  const script = first.replaceAll("/tmp/stowage-demo", folder.path);
  const env = { ...process.env, PATH: `${folder.path}:${process.env["PATH"]}` };
  const { stdout } = await promisify(execFile)("sh", ["-e", "-c", script], { env });
  expect(stdout).toContain(join(folder.path, "root"));
});
