import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { hash } from "node:crypto";
import { join } from "node:path";

import { encodedOf } from "@stowage/content";
import { createRuntime } from "@stowage/runtime-shim";

import type { StowagePlace } from "./stowage.ts";

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
  truncateSync(join(layers.diffPath(top), "top/data"));
  rmSync(join(root, "blobs/sha256", encodedOf(blob.digest)));
  writeFileSync(join(root, "images", encodedOf(id), "image.json"), "{}");
  writeFileSync(join(root, "names", `${hash("sha256", otherName)}.json`), "");
}
