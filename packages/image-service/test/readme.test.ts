import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

test("the first example of the README runs as it stands", async () => {
  const root = join(import.meta.dirname, "..");
  const readme = await readFile(join(root, "README.md"), "utf8");
  const code = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const node = ["--conditions=@stowage/source", "--input-type=module", "--eval", code];
  await using scratch = await tempDir();
  const env = { ...process.env, TMPDIR: scratch.path };
  const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: root, env });
  expect(stdout).toMatch(/^judged app\nexample\.com\/app@sha256:[0-9a-f]{64}\n/);
  expect(await readdir(scratch.path)).toEqual([]);
  expect(stdout).toContain("[ 'example.com/app:1' ]");
});
