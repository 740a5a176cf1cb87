import { execFileSync } from "node:child_process";
import { linkSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { makeCanaryWorld, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  inheritDirectories,
  type LowerLayer,
  LowerViews,
} from "../../src/layer/inherit-directory.ts";
import { type Random, randomFrom } from "../support/archive-grammar.ts";
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
    inherit([lower], root, [Buffer.from("a/b")]);
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
    inherit([lower], root, [Buffer.from("a")]);
    inherit([lower], root, [Buffer.from("a/b")]);
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
    inherit(layers, root, bytes);
    const modes = paths.map((path) => lstatSync(join(root, path)).mode & 0o7777);
    expect(modes).toEqual([IMPLIED, 0o700]);
  });

  test("is found in the same way whatever the layers below have been asked before", async () => {
    await using folder = await tempDir();
    const random = randomFrom(20_261_126);
    const paths = ["a", "b", "a/a", "a/b", "b/a", "b/b"];
    for (let round = 0; round < 20; round += 1) {
      const asked = new LowerViews();
      let top: LowerLayer | undefined;
      let stack: readonly string[] = [];
      for (let height = 0; height < 8; height += 1) {
        for (const path of paths.filter(() => random.chance(0.5))) {
          const shown = asked.nearest(top, path);
          expect([shown?.layer.root, shown?.view]).toEqual(firstOf(stack, path));
        }
        const layer = join(folder.path, `${round}-${height}`);
        mkdirSync(layer);
        fillAtRandom(layer, random, 2);
        top = asked.add(layer, top);
        stack = [layer, ...stack];
      }
    }
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
    inherit(layers, root, [bytes]);
    const { mode } = lstatSync(Buffer.concat([Buffer.from(`${root}/`), bytes]));
    expect(mode & 0o7777).toBe(0o701);
  });
});

/** Makes directories `a` and `b`, or something else of the name, or nothing, to a depth. */
function fillAtRandom(directory: string, random: Random, depth: number): void {
  for (const name of depth > 0 ? ["a", "b"] : []) {
    const [path, roll] = [join(directory, name), random.below(10)];
    if (roll < 1) symlinkSync("b", path);
    else if (roll < 2) writeFileSync(path, "");
    else if (roll < 6) {
      mkdirSync(path);
      fillAtRandom(path, random, depth - 1);
    }
  }
}

/** @param layers - The nearest first. */
function inherit(layers: readonly string[], root: string, paths: readonly Buffer[]): void {
  const views = new LowerViews();
  let top: LowerLayer | undefined;
  for (const layer of layers.toReversed()) top = views.add(layer, top);
  inheritDirectories(top, root, paths, views);
}

/** The first of some layers that has something at a path, or above it, and what. */
function firstOf(
  layers: readonly string[],
  path: string,
): readonly [layer: string | undefined, view: string | undefined] {
  const places = path.split("/").map((_, index, names) => names.slice(0, index + 1).join("/"));
  const lookAt = (layer: string): string | undefined => {
    for (const place of places) {
      const stat = lstatSync(join(layer, place), { throwIfNoEntry: false });
      if (stat === undefined) return undefined;
      if (stat.isSymbolicLink() && place === path) return "link";
      if (!stat.isDirectory()) return "hidden";
    }
    return "directory";
  };
  for (const layer of layers) {
    const view = lookAt(layer);
    if (view !== undefined) return [layer, view];
  }
  return [undefined, undefined];
}
