import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const PACKAGES = join(import.meta.dirname, "../../../packages");

// Of the command line, the quickstart is the example.
const LIBRARIES = readdirSync(PACKAGES).filter((name) => name !== "cli");

describe("R16: the first example of a README runs with what the package declares, and no other", () => {
  test.for(LIBRARIES)("%s", async (name) => {
    const folder = join(PACKAGES, name);
    const [, example = ""] =
      /```js\n([\s\S]*?)```/.exec(readFileSync(join(folder, "README.md"), "utf8")) ?? [];
    expect(example).toContain(`@stowage/${name}`);
    const words = ["--conditions=@stowage/source", "--input-type=module", "--eval", example];
    // Examples keep what they make; here it goes.
    const scratch = mkdtempSync(join(tmpdir(), "stowage-example-"));
    try {
      const env = { ...process.env, TMPDIR: scratch };
      const { stdout } = await run(process.execPath, words, { cwd: folder, env });
      expect(stdout).not.toBe("");
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
});
