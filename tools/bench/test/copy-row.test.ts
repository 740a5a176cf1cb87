import { hasPeer } from "@stowage/testkit";
import { expect, test } from "vitest";

import { benchCopy, splitSize } from "../src/copy-row.ts";
import { SOURCE_MAIN } from "./support/source-main.ts";

test.skipIf(!hasPeer("docker-registry") || !hasPeer("skopeo"))(
  "copy: both bring the image over, and are measured",
  async () => {
    const peers = ["skopeo"];
    const options = { size: 2, layers: 3, pairs: 1, main: SOURCE_MAIN, peers };
    const [found, ...others] = await benchCopy(options);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ row: "copy", peer: "skopeo", target: 1.2 });
    for (const value of [found?.ratio, found?.oursMs, found?.theirsMs])
      expect(value).toBeGreaterThan(0);
    expect(found?.oursPeakBytes).toBeGreaterThan(20e6);
    expect(found?.theirsPeakBytes).toBeGreaterThan(1e6);
  },
);

test("an image's size is split into layers that shrink, and none is empty", () => {
  const sizes = splitSize(500e6, 7);
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  expect(Math.round(sizes.reduce((sum, size) => sum + size, 0) / 1e6)).toBe(500);
  expect(splitSize(1, 3)).not.toContain(0);
});
