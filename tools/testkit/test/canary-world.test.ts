import { chmod, link, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type CanaryWorld, hasPeer, makeCanaryWorld, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

describe.runIf(hasPeer("getfattr"))("a canary world (if getfattr is installed)", () => {
  test("is as it was though it was read", async () => {
    await using folder = await tempDir();
    const world = await makeCanaryWorld(folder.path);
    expect(await readFile(world.file, "utf8")).toBe(world.secret);
    expect(world.changes()).toEqual([]);
  });

  test.for<[string, (world: CanaryWorld, outside: string) => Promise<void>]>([
    ["a file is written again with the same bytes", ({ file, secret }) => writeFile(file, secret)],
    ["a mode is set to what it is", ({ file }) => chmod(file, 0o600)],
    ["times are set", ({ directory }) => utimes(directory, 1, 1)],
    ["a file is linked from outside", ({ file }, outside) => link(file, outside)],
    ["a file is added", ({ directory }) => writeFile(join(directory, "new"), "")],
    ["a directory is removed", ({ path }) => rm(join(path, "empty"), { recursive: true })],
  ])("tells when %s", async ([, change]) => {
    await using folder = await tempDir();
    const world = await makeCanaryWorld(folder.path);
    await change(world, join(folder.path, "outside"));
    expect(world.changes()).not.toEqual([]);
  });
});
