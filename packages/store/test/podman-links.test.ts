import { readdirSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { storeLimits } from "../src/layer/layer-limits.ts";
import { linkLayer, unlinkLayers } from "../src/podman/layer-links.ts";
import { createStoreContext } from "../src/store-context.ts";
import { storeLayout } from "../src/store-layout.ts";
import { acquireLock } from "../src/store-lock.ts";
import { makeImage, openWorld, storeImage } from "./support/store-world.ts";

test("what an export writes beside a layer is not written or removed while a repair may replace the layer", async () => {
  await using world = await openWorld();
  const image = makeImage([{ name: "file", body: "x" }]);
  await storeImage(world.store, image);
  const [id] = image.layerIDs;
  if (id === undefined) throw new TypeError("it has no layer");
  const layer = await world.store.layers.get(id);
  const layout = storeLayout(world.root, world.runRoot);
  await using context = createStoreContext(layout, storeLimits());
  const files = (): readonly string[] => readdirSync(join(layout.layers, id)).toSorted();
  const whileRepairing = async (change: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    const before = files();
    using _gc = await acquireLock(join(layout.locks, "gc.lock"), "exclusive");
    const changed = change(AbortSignal.timeout(50));
    await expect(changed).rejects.toMatchObject({ name: "TimeoutError" });
    expect(files()).toEqual(before);
  };
  const before = files();
  await whileRepairing((signal) => linkLayer(context, layer, [], signal));
  await linkLayer(context, layer, []);
  expect(files()).toContain("link");
  await whileRepairing((signal) => unlinkLayers(context, new Set(), signal));
  await unlinkLayers(context, new Set());
  expect(files()).toEqual(before);
});
