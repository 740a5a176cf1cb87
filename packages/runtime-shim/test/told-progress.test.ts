import { join } from "node:path";

import type { PullProgress } from "@stowage/image-service";
import { copyBetween, type CopyBetweenProgress, parseCopyLocation } from "@stowage/runtime-shim";
import { type FaultyRegistry, startFaultyRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openRuntimeWorld } from "./support/runtime-world.ts";
import { type ServedImage, serveShellImage } from "./support/served-image.ts";

type Told = readonly (CopyBetweenProgress | PullProgress)[];

describe("progress, where a mirror is busy and then has nothing", () => {
  test("of a pull says who refused, what was asked again, and who served each blob", async () => {
    await using world = await openTroubled();
    const told: PullProgress[] = [];
    const onProgress = (event: PullProgress): void => void told.push(event);
    const { images } = world.runtime;
    const { transferred } = await images.pull("registry.test/shell:1", { onProgress });
    expectTold(told, world);
    const resolved = told.find((event) => event.type === "resolved");
    expect(resolved).toMatchObject({ layers: 2, bytes: transferred.bytes });
    expect(sumOf(told)).toEqual({ blobs: 3, bytes: transferred.bytes, from: [world.served.host] });
  });

  test.for(["oci:LAYOUT:it", "store:registry.test/kept:1"])(
    "of a copy to %s says the same, and the totals",
    async (place) => {
      await using world = await openTroubled();
      const told: CopyBetweenProgress[] = [];
      const onProgress = (event: CopyBetweenProgress): void => void told.push(event);
      const to = parseCopyLocation(place.replace("LAYOUT", join(world.path, "layout")));
      const from = parseCopyLocation("docker://registry.test/shell:1");
      const { bytes } = await copyBetween(from, to, { ...world.options, onProgress });
      expectTold(told, world);
      const totals = told.filter((event) => event.type === "manifest-start");
      expect(totals).toMatchObject([{ digest: world.served.digest, blobs: 3, bytes }]);
      expect(sumOf(told)).toEqual({ blobs: 3, bytes, from: [world.served.host] });
    },
  );
});

/** A registry that cannot be reached, but for a mirror that fails and one that does not. */
async function openTroubled() {
  const served = await serveShellImage();
  const failing = await startFaultyRegistry({
    script: ({ nth }) => ({ status: nth === 1 ? 503 : 404 }),
  });
  const mirrors = [failing, served].map(
    ({ host }) => `[[registry.mirror]]\nlocation = "${host}"\ninsecure = true\n`,
  );
  const conf = `[[registry]]\nlocation = "registry.test"\n${mirrors.join("")}`;
  const world = await openRuntimeWorld({}, conf);
  return {
    ...world,
    served,
    failing,
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await failing[Symbol.asyncDispose]();
      await served[Symbol.asyncDispose]();
    },
  };
}

function expectTold(
  told: Told,
  { served, failing }: { readonly served: ServedImage; readonly failing: FaultyRegistry },
): void {
  const url = `${failing.url}/v2/shell/manifests/1`;
  expect(told).toContainEqual(
    expect.objectContaining({ type: "retry", url, attempt: 1, reason: 503 }),
  );
  expect(told).toContainEqual({
    type: "mirror-failed",
    repository: `${failing.host}/shell`,
    error: expect.objectContaining({ code: "ERR_REGISTRY_NOT_FOUND", status: 404 }),
    tampering: false,
  });
  expect(told).toContainEqual({
    type: "source",
    repository: "registry.test/shell",
    target: "1",
    source: `${served.host}/shell`,
    mirror: true,
  });
}

/** What came of the blobs, added up. */
function sumOf(told: Told) {
  const done = told.filter((event) => event.type === "blob-done");
  return {
    blobs: done.length,
    bytes: done.reduce((sum, { size }) => sum + size, 0),
    from: [...new Set(done.map(({ source }) => source))],
  };
}
