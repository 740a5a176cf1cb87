import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { type CrashWorld, openCrashWorld } from "../src/crash-world.ts";
import { lookAtStore } from "../src/store-view.ts";

const IS_ROOT = process.getuid?.() === 0;

/** Each does something to a store that must not go unseen. */
const HARMS: readonly (readonly [what: string, harm: (root: string) => void])[] = [
  ["a name that is gone", (root) => removeAll(join(root, "names"))],
  ["an image that is gone", (root) => removeAll(join(root, "images"))],
  ["a container that is gone", (root) => removeAll(join(root, "containers"))],
  [
    "a file of a layer that is empty",
    (root) => {
      const paths = readdirSync(join(root, "layers"), { recursive: true, encoding: "utf8" });
      const path = paths.find((name) => name.endsWith("base/data")) ?? "";
      writeFileSync(join(root, "layers", path), "");
    },
  ],
  ["a blob that is gone", (root) => removeAll(join(root, "blobs/sha256"))],
  [
    "a container without a run configuration",
    (root) => {
      for (const id of readdirSync(join(root, "containers"))) {
        rmSync(join(root, "containers", id, "userdata/config.json"), { force: true });
      }
    },
  ],
];

describe.skipIf(!IS_ROOT)(`lookAtStore${IS_ROOT ? "" : " (needs root)"}`, () => {
  test("finds nothing wrong with a store that is whole, and each harm that is done to it", async () => {
    await using world = await openCrashWorld();
    expect(await problemsOf(world, () => {})).toEqual([]);
    for (const [what, harm] of HARMS) expect(await problemsOf(world, harm), what).not.toEqual([]);
  });
});

async function problemsOf(
  world: CrashWorld,
  harm: (root: string) => void,
): Promise<readonly string[]> {
  await world.restore("created", world.place);
  harm(world.place.root);
  const options = { hasKept: true, isDeep: true };
  return (await lookAtStore(world, world.place, options)).problems;
}

function removeAll(directory: string): void {
  for (const name of readdirSync(directory)) {
    rmSync(join(directory, name), { recursive: true, force: true });
  }
}
