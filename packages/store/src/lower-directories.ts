import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

import type { LayerID } from "./layer-id.ts";
import type { LayerRecord } from "./layer-record.ts";
import type { LayerStore } from "./layer-store.ts";
import { MAX_LOWER_LAYERS } from "./linux/mount-api.ts";
import { StoreError } from "./store-error.ts";
import type { StoreLayout } from "./store-layout.ts";

/**
 * The directories under a mount, topmost first, filled up with empty ones to `least`.
 *
 * @throws {@link StoreError} `ERR_STORE_LIMIT_EXCEEDED`, `ERR_STORE_LAYER_NOT_FOUND`,
 *   `ERR_STORE_CORRUPT`
 */
export async function lowerDirectories(
  layout: StoreLayout,
  layers: LayerStore,
  top: LayerID | undefined,
  least: number,
): Promise<readonly string[]> {
  const lower: string[] = [];
  for (let id = top; id !== undefined;) {
    const record: LayerRecord = await layers.get(id);
    lower.push(layers.diffPath(id));
    id = record.isRootOpaque ? undefined : record.parent;
    if (lower.length > MAX_LOWER_LAYERS) {
      const message = `more layers than the kernel mounts, which is ${MAX_LOWER_LAYERS}`;
      throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
    }
  }
  for (let count = 1; lower.length < least; count += 1) lower.push(emptyDirectory(layout, count));
  return lower;
}

/** A directory that stays empty. @throws {@link StoreError} `ERR_STORE_MOUNT_FAILED` */
export function emptyDirectory(layout: StoreLayout, number: number): string {
  const empty = join(layout.runMounts, `empty-${number}`);
  mkdirSync(empty, { recursive: true, mode: 0o755 });
  if (readdirSync(empty).length === 0) return empty;
  throw new StoreError("ERR_STORE_MOUNT_FAILED", `${empty} has to be empty`);
}
