import { readdirSync, statSync, writeFileSync } from "node:fs";
import { rm, truncate } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

test("of an image that is damaged here, it is told which part is, by the image's name, and how to mend it", async () => {
  await using world = await openCliWorld();
  const { image, path } = world;
  const pull = async (): Promise<string> => await world.ok("pull", "--tls-verify=false", image);
  await pull();
  await world.ok("pod", "create", "demo");
  const { id, layers } = JSON.parse(await world.ok("--format=json", "inspect", image));
  const [config, manifest, layer] = [id, world.digest, layers[0].blob.digest].map((digest) =>
    join(path, "root/blobs/sha256", digest.slice("sha256:".length)),
  ) as [string, string, string];
  const copy = ["copy", `store:${image}`, `dir:${join(path, "copy")}`];
  const create = ["create", "--pod", "demo", image];
  for (const [harm, words, code, part] of [
    [() => truncate(config, 20), ["inspect", image], "SIZE_MISMATCH", "config"],
    [() => truncate(config, 20), create, "SIZE_MISMATCH", "config"],
    [() => rm(config), ["inspect", image], "NOT_FOUND", "config"],
    [() => writeFileSync(manifest, "{}"), ["inspect", image], "SIZE_MISMATCH", "manifest"],
    [() => writeFileSync(manifest, "{}"), copy, "SIZE_MISMATCH", "blob"],
    [() => truncate(layer, 20), copy, "SIZE_MISMATCH", "blob"],
    [() => rm(layer), copy, "NOT_FOUND", "blob"],
    [() => swap(layer), copy, "DIGEST_MISMATCH", "blob"],
  ] as const) {
    await harm();
    const { code: exit, stderr } = await world.run(["--format=json", ...words]);
    const { error } = JSON.parse(stderr.trim().split("\n").at(-1) ?? "");
    expect({ part, exit, error }).toMatchObject({
      exit: 8,
      error: {
        code: `ERR_CONTENT_${code}`,
        message: expect.stringMatching(new RegExp(`${image}.*${part}.* is damaged here: sha256:`)),
        hint: expect.stringContaining("fsck --repair"),
      },
    });
    await pull();
  }
  expect(readdirSync(join(path, "root/containers"))).toHaveLength(1);
  expect((await world.run(["fsck", "--deep"])).code).toBe(0);
});

/** Other bytes, as many. */
function swap(path: string): void {
  writeFileSync(path, Buffer.alloc(statSync(path).size));
}
