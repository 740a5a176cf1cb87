import { execFileSync } from "node:child_process";
import { linkSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { makeCanaryWorld, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { inheritDirectories } from "../../src/layer/inherit-directory.ts";
import { IS_ROOT, NEEDS_ROOT } from "../support/needs-root.ts";

const IMPLIED = 0o755;

describe.skipIf(!IS_ROOT)(`what a directory inherits from the layers below${NEEDS_ROOT}`, () => {
  test.for<[string, (lower: string, canary: { path: string; file: string }) => void]>([
    ["a link to a directory outside", (lower, { path }) => symlinkSync(path, join(lower, "a"))],
    ["a link to nothing", (lower) => symlinkSync("/nowhere", join(lower, "a"))],
    [
      "a link to a directory of the layer",
      (lower) => {
        mkdirSync(join(lower, "real/b"), { recursive: true, mode: 0o700 });
        symlinkSync("real", join(lower, "a"));
      },
    ],
    ["a fifo", (lower) => void execFileSync("mkfifo", [join(lower, "a")])],
    ["a device", (lower) => void execFileSync("mknod", [join(lower, "a"), "c", "1", "3"])],
    ["a file", (lower) => writeFileSync(join(lower, "a"), "")],
    ["another name of a file outside", (lower, { file }) => linkSync(file, join(lower, "a"))],
    ["missing", () => {}],
    [
      "there, with a link below it",
      (lower, { path }) => {
        mkdirSync(join(lower, "a"), { mode: 0o755 });
        symlinkSync(path, join(lower, "a/b"));
      },
    ],
  ])("V65 V66 comes from no path that is %s", async ([, prepare]) => {
    await using folder = await tempDir();
    const lower = join(folder.path, "lower");
    const root = join(folder.path, "root");
    mkdirSync(lower);
    mkdirSync(join(root, "a/b"), { recursive: true });
    const canary = await makeCanaryWorld(folder.path);
    prepare(lower, canary);
    const linked = canary.changes().length;
    await inheritDirectories(async (depth) => [lower][depth], root, [Buffer.from("a/b")]);
    const { mode, uid } = lstatSync(join(root, "a/b"));
    expect([mode & 0o7777, uid]).toEqual([IMPLIED, 0]);
    expect(canary.changes()).toHaveLength(linked);
  });

  test("V65 V66 reaches no path that is a link on the upper side either", async () => {
    await using folder = await tempDir();
    const lower = join(folder.path, "lower");
    const root = join(folder.path, "root");
    mkdirSync(join(lower, "a/b"), { recursive: true, mode: 0o700 });
    mkdirSync(root);
    const canary = await makeCanaryWorld(folder.path);
    symlinkSync(canary.path, join(root, "a"));
    await inheritDirectories(async (depth) => [lower][depth], root, [Buffer.from("a")]);
    await inheritDirectories(async (depth) => [lower][depth], root, [Buffer.from("a/b")]);
    expect(canary.changes()).toEqual([]);
  });

  test("is nothing where a nearer layer hides what lies below it, and something beside that", async () => {
    await using folder = await tempDir();
    const layers = ["near", "far"].map((name) => join(folder.path, name));
    const root = join(folder.path, "root");
    const paths = ["hidden/deep/b", "shown/deep/b"];
    for (const path of paths) {
      mkdirSync(join(root, path), { recursive: true, mode: IMPLIED });
      mkdirSync(join(folder.path, "far", path), { recursive: true, mode: 0o700 });
      mkdirSync(join(folder.path, "near", path, "../.."), { recursive: true });
    }
    const opaque = ["-n", "trusted.overlay.opaque", "-v", "y", join(folder.path, "near/hidden")];
    execFileSync("setfattr", opaque);
    const bytes = paths.map((path) => Buffer.from(path));
    await inheritDirectories(async (depth) => layers[depth], root, bytes);
    const modes = paths.map((path) => lstatSync(join(root, path)).mode & 0o7777);
    expect(modes).toEqual([IMPLIED, 0o700]);
  });

  test("is that of the nearest layer, whatever bytes its name has", async () => {
    await using folder = await tempDir();
    const layers = ["near", "far"].map((name) => join(folder.path, name));
    const root = join(folder.path, "root");
    const bytes = Buffer.from([0x64, 0xff]);
    for (const [index, path] of [...layers, root].entries()) {
      mkdirSync(path);
      mkdirSync(Buffer.concat([Buffer.from(`${path}/`), bytes]), { mode: 0o701 + index });
    }
    await inheritDirectories(async (depth) => layers[depth], root, [bytes]);
    const { mode } = lstatSync(Buffer.concat([Buffer.from(`${root}/`), bytes]));
    expect(mode & 0o7777).toBe(0o701);
  });
});
