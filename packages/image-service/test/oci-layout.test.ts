import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";

import { expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const isHere = hasSkopeo();
const why = isHere ? "" : " (skipped: skopeo is not installed)";

test.skipIf(!isHere)(`skopeo reads a pulled image from the store's root${why}`, async () => {
  await using world = await openWorld();
  const image = makeImage({ files: ["a", "b"] });
  await world.registry.pushIndex(`${APP}:1`, [image], ["linux/amd64"]);
  await world.images.pull(`${APP}:1`);
  const source = `oci:${world.store.root}:${APP}:1`;
  const run = promisify(execFile);
  const { stdout } = await run("skopeo", ["inspect", "--raw", source]);
  expect(stdout).toBe(Buffer.from(image.bytes).toString());
  const { stdout: text } = await run("skopeo", ["inspect", source]);
  expect(JSON.parse(text)).toMatchObject({ Layers: [...image.blobs.keys()].slice(0, 2) });
});

function hasSkopeo(): boolean {
  try {
    execFileSync("skopeo", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
