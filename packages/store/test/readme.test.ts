import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

test("the first example of the README runs", () => {
  const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
  const [, example = ""] = /```js\n(.*?)```/s.exec(readme) ?? [];
  // In the package's own directory, where its name means itself.
  const script = join(import.meta.dirname, `.readme-example-${process.pid}.mjs`);
  writeFileSync(script, example);
  try {
    const args = ["--conditions=@stowage/source", script];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(stdout).toContain("passwd");
  } finally {
    rmSync(script);
  }
});
