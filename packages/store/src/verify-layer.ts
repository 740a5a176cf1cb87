/**
 * Whether a layer still is what its blob unpacks to.
 *
 * What is changed through the file system bears the time of that. The record of a layer is written
 * last, and touched when the layer has been compared; whatever was changed later is suspect.
 *
 * @module
 */
import { lstatSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

import { hasErrorCode } from "@stowage/content";

import type { TreeComparer } from "./check/tree-comparer.ts";
import type { TreeDifference } from "./layer/compare-trees.ts";
import { type LayerID, layerIDOf } from "./layer-id.ts";
import type { LayerStore } from "./layer-store.ts";
import { walkTree } from "./linux/walk-tree.ts";
import { replaceLayer, type ReplacedLayer } from "./replace-layer.ts";
import { fitLayer, type LayerPlan, sealLayer, unpackStaged } from "./stage-layer.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath, diffPath, layerPath, type StoreLayout } from "./store-layout.ts";

/** What is wrong with a layer, and what was done about it. */
export interface LayerVerdict {
  readonly difference?: TreeDifference | undefined;
  /** Where it was put in order. */
  readonly replaced?: ReplacedLayer | undefined;
}

/** How {@link verifyLayer} goes about it. */
export interface VerifyLayerOptions {
  readonly repair: boolean;
  /**
   * Whether the layers below are sound. If not, what this one takes over from them is not known, and
   * it can not be put in order.
   */
  readonly isBelowSound: boolean;
  /** Whether the blob is. If not, the layer stays suspect. @defaultValue true */
  readonly isBlobSound?: boolean;
  readonly signal?: AbortSignal | undefined;
}

const ENTRIES_PER_TURN = 2048;
const CLOCK_TICK_MS = 20;

/** Whether a layer, or its blob, may have been changed since it was stored, or compared last. */
export async function isLayerSuspect(
  { layout }: StoreContext,
  id: LayerID,
  plan: Pick<LayerPlan, "blob"> | undefined,
  signal?: AbortSignal,
): Promise<boolean> {
  const record = lstatSync(recordPath(layout, id), { bigint: true, throwIfNoEntry: false });
  return record === undefined || (await isChangedSince(layout, id, plan, record.ctimeNs, signal));
}

async function isChangedSince(
  layout: StoreLayout,
  id: LayerID,
  plan: Pick<LayerPlan, "blob"> | undefined,
  time: bigint,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const blob =
    plan && lstatSync(blobPath(layout, plan.blob.digest), { bigint: true, throwIfNoEntry: false });
  if (blob !== undefined && blob.ctimeNs > time) return true;
  let entries = 0;
  try {
    for (const { stat } of walkTree(diffPath(layout, id))) {
      if (stat.ctime > time) return true;
      entries += 1;
      if (entries % ENTRIES_PER_TURN !== 0) continue;
      signal?.throwIfAborted();
      await setImmediate();
    }
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR", "ELOOP", "EIO")) return true;
    throw error;
  }
  return false;
}

/**
 * Compares a layer with what its blob unpacks to, and puts it in order if it is to be.
 *
 * @throws As {@link LayerStore.stage}, where the blob is not what it should be either.
 */
export async function verifyLayer(
  context: StoreContext,
  layers: LayerStore,
  comparer: TreeComparer,
  plan: LayerPlan,
  options: VerifyLayerOptions,
): Promise<LayerVerdict> {
  const { layout } = context;
  const { signal } = options;
  const id = layerIDOf(plan.diffID, plan.parent);
  // The clock of a file system may lag behind by a tick.
  const began = BigInt(Date.now() - CLOCK_TICK_MS) * 1_000_000n;
  const rest = await unpackStaged(context, plan, { signal });
  await using _staging = rest.staging;
  // Those below may have been damaged, or mended, since they were looked at.
  context.lowerViews.forget();
  const record = await fitLayer(context, layers, plan, rest);
  const expected = join(rest.staging.path, "diff");
  const unknown = options.isBelowSound
    ? []
    : rest.unpacked.impliedDirectories.map((path) => Buffer.from(path).toString("latin1"));
  const difference = isDirectory(diffPath(layout, id))
    ? await comparer.compare(expected, diffPath(layout, id), { signal, unknown })
    : { path: "", aspect: "missing" as const };
  const isRecorded = (await soundRecord(layers, id)) !== undefined;
  if (difference === undefined && isRecorded) {
    const { isBlobSound = true } = options;
    if (isBlobSound && !(await isChangedSince(layout, id, plan, began, signal))) {
      utimesSync(recordPath(layout, id), new Date(), new Date());
    }
    return {};
  }
  if (!options.repair || !options.isBelowSound) return { difference };
  signal?.throwIfAborted();
  await sealLayer(record, rest);
  return { difference, replaced: await replaceLayer(context, layers, id, rest.staging) };
}

/** A layer's directory that has none of the files that it should have. */
export function isLayerEmpty(layout: StoreLayout, id: LayerID): boolean {
  try {
    return readdirSync(diffPath(layout, id)).length === 0;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return true;
    throw error;
  }
}

async function soundRecord(layers: LayerStore, id: LayerID): ReturnType<LayerStore["find"]> {
  try {
    return await layers.find(id);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function recordPath(layout: StoreLayout, id: LayerID): string {
  return join(layerPath(layout, id), "layer.json");
}
