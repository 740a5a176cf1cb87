import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { buildImage, buildIndex, hasPeer, tempDir, writeOciLayout } from "@stowage/testkit";
import { expect, test } from "vitest";

test.runIf(hasPeer("skopeo"))("writes what skopeo reads (if installed)", async () => {
  await using folder = await tempDir();
  const layout = join(folder.path, "new/layout");
  const image = buildImage({ layers: [{ entries: [{ name: "a" }] }] });
  await writeOciLayout(layout, { "1.0": image, all: buildIndex([image]) });
  const inspect = (...words: string[]): string =>
    execFileSync("skopeo", ["inspect", ...words], { encoding: "utf8" });
  for (const name of ["1.0", "all"]) {
    const { Layers } = JSON.parse(inspect(`oci:${layout}:${name}`)) as { Layers: string[] };
    expect(Layers).toHaveLength(1);
  }
  expect(inspect("--raw", `oci:${layout}:1.0`)).toBe(Buffer.from(image.manifest).toString());
});
