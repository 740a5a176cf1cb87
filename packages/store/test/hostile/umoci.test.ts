import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { hasPeer, tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

import { type Random, randomFrom } from "../support/archive-grammar.ts";
import type { RawEntry } from "../support/raw-tar.ts";
import { makeImage, openWorld, storeImage } from "../support/store-world.ts";
import { snapshotTree } from "../support/tree-snapshot.ts";

const run = promisify(execFile);
const CASES = 120;
const LAYERS = 4;
const NAME = "localhost/generated:1";
const WHY_NOT =
  process.getuid?.() === 0 ? (hasPeer("umoci") ? "" : " (needs umoci)") : " (needs root)";

/**
 * What a layer may do to those below: add, replace, change, hide. Left out is what is known to be
 * different and wanted so, by name: hard links to lower layers (T11), names by way of lower links,
 * which overlayfs can not see, and files as parents.
 */
test.skipIf(WHY_NOT !== "")(
  `T13 V32 stacks of generated layers are, mounted, what umoci makes of them${WHY_NOT}`,
  async () => {
    const seed = Number(process.env["STOWAGE_SEED"] ?? Date.now() % 2 ** 31);
    const layers = generateLayers(randomFrom(seed));
    await using world = await openWorld();
    await using folder = await tempDir();
    const image = makeImage(...layers);
    await storeImage(world.store, image, NAME);
    const bundle = join(folder.path, "bundle");
    await run("umoci", ["unpack", "--image", `${world.root}:${NAME}`, bundle]);
    const { mountPoint } = await world.store.mounts.mountImage(image.id);
    const [ours, theirs] = [linesOf(mountPoint), linesOf(join(bundle, "rootfs"))];
    expect(ours.length).toBeGreaterThan(CASES * 4);
    expect(
      ours.filter((line) => !theirs.includes(line)),
      `seed ${seed}`,
    ).toEqual([]);
    expect(
      theirs.filter((line) => !ours.includes(line)),
      `seed ${seed}`,
    ).toEqual([]);
    await world.store.mounts.unmountImage(image.id);
  },
);

/** Overlayfs counts the names that a layer below has, also where one above hides some. */
function linesOf(root: string): readonly string[] {
  return Object.entries(snapshotTree(root)).map(
    ([path, line]) => `${path}: ${line.replace(/links \d+ /, "")}`,
  );
}

/** Each case has a directory of its own, so that one image has them all. */
function generateLayers(random: Random): readonly (readonly RawEntry[])[] {
  const layers: RawEntry[][] = Array.from({ length: LAYERS }, () => [
    { name: "./", type: "5", mode: 0o755, mtime: 1 },
  ]);
  for (let number = 0; number < CASES; number += 1) {
    const top = `case-${number}`;
    const kinds = new Map<string, string>([[top, "5"]]);
    for (const layer of layers) {
      layer.push({ name: `${top}/`, type: "5", mode: 0o755, mtime: 2 });
      addChanges(random, layer, top, kinds);
    }
  }
  return layers;
}

function addChanges(
  random: Random,
  layer: RawEntry[],
  top: string,
  kinds: Map<string, string>,
): void {
  const own = new Set<string>([top]);
  const hidden = new Set<string>();
  for (let count = random.below(6); count > 0; count -= 1) {
    const directories = [...kinds].filter(([path, type]) => type === "5" && own.has(path));
    const [parent = top] = directories[random.below(directories.length)] ?? [];
    const path = `${parent}/${random.pick(["a", "b", "c", "d"])}`;
    if (own.has(path) || hidden.has(path)) continue;
    const known = kinds.get(path);
    if (random.chance(0.25)) {
      if (known === undefined) continue;
      layer.push({ name: `${parent}/.wh.${path.slice(parent.length + 1)}` });
      forget(kinds, path);
      hidden.add(path);
      continue;
    }
    const type = random.pick(["0", "0", "5", "5", "2", "6"]);
    if (known === "5" && type === "5" && random.chance(0.3)) {
      layer.push(
        { name: `${path}/`, type, mode: 0o700, mtime: 3 },
        { name: `${path}/.wh..wh..opq` },
      );
      forget(kinds, path);
    } else {
      layer.push({
        name: path,
        type,
        mode: random.pick([0o755, 0o600, 0o1777, 0o4711]),
        uid: random.pick([0, 7]),
        mtime: 3 + random.below(9),
        ...(type === "0" && { body: "x".repeat(random.below(900)) }),
        ...(type === "2" && { link: "nowhere" }),
      });
      if (type !== "5") forget(kinds, path);
    }
    own.add(path);
    kinds.set(path, type);
    const linked = `${parent}/link-of-${path.slice(parent.length + 1)}`;
    if (type === "0" && random.chance(0.2) && !kinds.has(linked)) {
      const file = layer.at(-1);
      if (file) layer.push({ ...file, name: linked, type: "1", link: path, body: "" });
      own.add(linked);
      kinds.set(linked, "1");
    }
  }
}

function forget(kinds: Map<string, string>, path: string): void {
  for (const known of kinds.keys()) {
    if (known === path || known.startsWith(`${path}/`)) kinds.delete(known);
  }
}
