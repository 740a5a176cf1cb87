/**
 * Puts a layer that was made anew in the place of a damaged one, in one step.
 *
 * @module
 */
import { lstatSync } from "node:fs";

import { hasErrorCode, parseDigest } from "@stowage/content";

import { readContainerOf } from "./container-records.ts";
import { type HoldingMount, holdTree } from "./held-tree.ts";
import { findImage } from "./image-records.ts";
import type { LayerID } from "./layer-id.ts";
import type { LayerRecord } from "./layer-record.ts";
import type { LayerStore } from "./layer-store.ts";
import { renameExchange, renameNoReplace } from "./linux/file-calls.ts";
import { findMounts } from "./find-mounts.ts";
import { keepLinkFiles } from "./podman/layer-links.ts";
import { syncDirectory } from "./publish-file.ts";
import type { Staging } from "./staging.ts";
import type { StoreContext } from "./store-context.ts";
import { layerPath } from "./store-layout.ts";

/** What came of {@link replaceLayer}. */
export interface ReplacedLayer {
  /** Those that go on with the old files until they are unmounted; containers' and images' IDs. */
  readonly stillUsing: readonly string[];
}

/**
 * Exchanges the directory of a layer for a staged one. What has the old one mounted keeps it; it is
 * deleted when it is mounted no more.
 */
export async function replaceLayer(
  context: StoreContext,
  layers: LayerStore,
  id: LayerID,
  staging: Staging,
): Promise<ReplacedLayer> {
  const { layout } = context;
  const target = layerPath(layout, id);
  let trashed: string | undefined;
  let users: ReadonlyMap<string, HoldingMount>;
  {
    // Whoever mounts something holds this lock, shared.
    using _gc = await context.lock("gc", "exclusive");
    users = await mountsOfLayer(context, layers, id);
    const found = lstatSync(target, { throwIfNoEntry: false });
    if (found === undefined) {
      renameNoReplace(staging.path, target);
    } else {
      if (users.size > 0 && found.isDirectory()) await holdTree(target, [...users.values()]);
      if (found.isDirectory()) await keepLinkFiles(layout, id, staging.path);
      renameExchange(staging.path, target);
      trashed = context.moveToTrash(staging.path);
    }
  }
  await syncDirectory(layout.layers);
  if (users.size === 0) await context.emptyTrash([trashed]);
  return { stillUsing: [...users.keys()] };
}

/** The mounts that a layer is under, or may be where a record can not be read. */
async function mountsOfLayer(
  context: StoreContext,
  layers: LayerStore,
  id: LayerID,
): Promise<ReadonlyMap<string, HoldingMount>> {
  const users = new Map<string, HoldingMount>();
  for (const [key, mount] of await findMounts(context.layout)) {
    if (await mayUse(context, layers, key, id)) users.set(key, mount);
  }
  return users;
}

async function mayUse(
  context: StoreContext,
  layers: LayerStore,
  key: string,
  id: LayerID,
): Promise<boolean> {
  try {
    const container = await readContainerOf(context, key);
    if (container === undefined) {
      const image = await findImage(context, parseDigest(`sha256:${key}`));
      return image === undefined || image.layers.includes(id);
    }
    for (let next = container.topLayer; next !== undefined;) {
      if (next === id) return true;
      const record: LayerRecord | undefined = await layers.find(next);
      next = record?.parent;
    }
    return false;
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return true;
    throw error;
  }
}
