import {
  chmodSync,
  lstatSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { hash } from "node:crypto";
import { join } from "node:path";

import { encodedOf } from "@stowage/content";
import { createRuntime } from "@stowage/runtime-shim";

import type { StowagePlace } from "./stowage.ts";

const DAMAGED_FILE = "top/data";

/**
 * Damages each kind of object of an image in a way that can be repaired: a file of its top layer, the
 * blob of the one below, its record, and the record of one of its names.
 */
export async function damageStore(
  { root, runRoot, policy: policyPath, authfile }: StowagePlace,
  name: string,
  otherName: string,
): Promise<void> {
  await using runtime = await createRuntime({ root, runRoot, policyPath, authfile });
  const { images, layers } = runtime.store;
  const id = await images.resolveName(name);
  if (id === undefined) throw new Error(`there is no ${name}`);
  const { layers: stack } = await images.get(id);
  const [, middle, top] = stack;
  if (middle === undefined || top === undefined) throw new Error(`${name} has too few layers`);
  const { blob } = await layers.get(middle);
  truncateSync(join(layers.diffPath(top), DAMAGED_FILE));
  rmSync(join(root, "blobs/sha256", encodedOf(blob.digest)));
  writeFileSync(join(root, "images", encodedOf(id), "image.json"), "{}");
  writeFileSync(join(root, "names", `${hash("sha256", otherName)}.json`), "");
}

/**
 * Has the damaged file of a copied store be changed after the record of its layer, as it was in the
 * first: in a copy, both may have been made in one tick of the clock, and then it is no change.
 */
export function changeDamagedFile(root: string): void {
  for (const id of readdirSync(join(root, "layers"))) {
    const layer = join(root, "layers", id);
    const file = join(layer, "diff", DAMAGED_FILE);
    if (lstatSync(file, { throwIfNoEntry: false }) === undefined) continue;
    const { mode } = statSync(file);
    const recorded = statSync(join(layer, "layer.json"), { bigint: true }).ctimeNs;
    do chmodSync(file, mode);
    while (statSync(file, { bigint: true }).ctimeNs <= recorded);
  }
}
