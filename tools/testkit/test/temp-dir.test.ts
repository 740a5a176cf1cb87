import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

test("goes with its scope, though nobody may write in it", async () => {
  let path: string;
  {
    await using folder = await tempDir();
    path = folder.path;
    await mkdir(join(path, "a/b"), { recursive: true });
    await writeFile(join(path, "a/b/c"), "");
    await chmod(join(path, "a/b"), 0o500);
    await chmod(join(path, "a"), 0);
  }
  expect(existsSync(path)).toBe(false);
});

test("goes though it is deeper than any path may be long", async () => {
  const folder = await tempDir();
  const step = "d".repeat(200);
  const script = `i=0; while [ $i -lt 40 ]; do mkdir ${step} && cd -P ${step} || exit 1; i=$((i+1)); done`;
  execFileSync("sh", ["-c", script], { cwd: folder.path });
  await folder[Symbol.asyncDispose]();
  expect(existsSync(folder.path)).toBe(false);
});

test.runIf(process.getuid?.() === 0)(
  "does not empty what is mounted in it, but says so (if root)",
  async () => {
    const folder = await tempDir();
    await using other = await tempDir();
    await writeFile(join(other.path, "kept"), "");
    const point = join(folder.path, "mount point");
    await mkdir(point);
    execFileSync("mount", ["--bind", other.path, point]);
    try {
      await expect(folder[Symbol.asyncDispose]()).rejects.toThrow(point);
    } finally {
      execFileSync("umount", [point]);
    }
    expect(await readdir(other.path)).toEqual(["kept"]);
    await folder[Symbol.asyncDispose]();
  },
);
