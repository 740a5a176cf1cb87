/**
 * Layers on their way into the store: unpacked in a directory of their own, then made to fit what
 * they will lie on.
 *
 * @module
 */
import { closeSync, constants, lstatSync, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import {
  algorithmOf,
  type Descriptor,
  type DiffID,
  type Digest,
  hasErrorCode,
} from "@stowage/content";

import type { Arrival } from "./arrivals.ts";

import { keptDescriptor } from "./kept-descriptor.ts";
import { inheritDirectories, type LowerLayer } from "./layer/inherit-directory.ts";
import { sayOddities } from "./layer/layer-oddities.ts";
import {
  BlobGivenUpError,
  unpackLayer,
  type UnpackedLayer,
  type UnpackLayerOptions,
} from "./layer/unpack-layer.ts";
import { type LayerID, layerIDOf } from "./layer-id.ts";
import type { LayerRecord } from "./layer-record.ts";
import type { LayerStore, StageLayerOptions } from "./layer-store.ts";
import { syncFilesystem } from "./linux/file-calls.ts";
import { writeSyncedFile } from "./publish-file.ts";
import { formatRecord } from "./record-file.ts";
import { openStaging, type Staging } from "./staging.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { blobPath } from "./store-layout.ts";

// A thread starts in the time that it takes to unpack about as much.
const MIN_SHARED_BYTES = 8 * 1024 * 1024;
const MAX_TINY_BYTES = 256 * 1024;
// Of two layers of a size, the second one finds the first begun.
const ENOUGH = 0.75;

/** What a layer is made from. */
export interface LayerPlan {
  readonly blob: Descriptor;
  readonly diffID: DiffID;
  readonly parent?: LayerID | undefined;
}

/** A layer that is unpacked, whatever it will lie on. */
export interface UnpackedStaging {
  readonly staging: Staging;
  readonly unpacked: UnpackedLayer;
}

/** Unpacks a blob that is in the store, or on its way there; what it came to is the caller's to dispose of. */
export async function unpackBlob(
  context: StoreContext,
  plan: Pick<LayerPlan, "blob" | "diffID">,
  options: StageLayerOptions = {},
): Promise<UnpackedStaging> {
  const { arriving } = options;
  if (arriving !== undefined) {
    // A tiny one is waited for, as one that stalls must not keep the others from their thread.
    while (plan.blob.size > MAX_TINY_BYTES) {
      const arrival = await context.arrivals.next(plan.blob.digest, arriving);
      const file = arrival && openArrival(arrival);
      if (file === undefined) break;
      const unpacked = await unpackArrival(context, plan, file, arriving, options);
      if (unpacked !== "given up") return unpacked;
    }
    await arriving;
  }
  return await unpackStaged(context, plan, options);
}

/** Unpacks a blob of the store. */
export async function unpackStaged(
  context: StoreContext,
  plan: Pick<LayerPlan, "blob" | "diffID">,
  options: StageLayerOptions = {},
): Promise<UnpackedStaging> {
  const path = blobPath(context.layout, plan.blob.digest);
  if (!lstatSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new StoreError("ERR_STORE_BLOB_NOT_FOUND", `blob ${plan.blob.digest} is not stored`);
  }
  return await unpackInto(context, plan, path, options);
}

interface OpenArrival extends Disposable {
  readonly arrival: Arrival;
  readonly fd: number;
}

/** Answers `undefined` when it has come to the store, or has been given up, in between. */
function openArrival(arrival: Arrival): OpenArrival | undefined {
  try {
    const fd = openSync(arrival.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return { arrival, fd, [Symbol.dispose]: () => closeSync(fd) };
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function unpackArrival(
  context: StoreContext,
  plan: Pick<LayerPlan, "blob" | "diffID">,
  file: OpenArrival,
  arriving: Promise<unknown>,
  options: StageLayerOptions,
): Promise<UnpackedStaging | "given up"> {
  using opened = file;
  const { arrival, fd } = opened;
  let rest: UnpackedStaging;
  try {
    const { growth, size, hashing } = arrival;
    const algorithm = algorithmOf(plan.blob.digest);
    const blob = { fd, growth, size, algorithm, hashing };
    rest = await unpackInto(context, plan, blob, options);
  } catch (error) {
    if (error instanceof BlobGivenUpError) return "given up";
    options.signal?.throwIfAborted();
    // Bytes that are not the blob's say nothing of the layer.
    await arriving;
    if (arrival.isGivenUp) return "given up";
    throw error;
  }
  try {
    await arriving;
    return rest;
  } catch (error) {
    await rest.staging[Symbol.asyncDispose]();
    throw error;
  }
}

async function unpackInto(
  { layout, limits }: StoreContext,
  { blob, diffID }: Pick<LayerPlan, "blob" | "diffID">,
  source: UnpackLayerOptions["blob"],
  { signal, onProgress, bytesBeside = 0 }: StageLayerOptions,
): Promise<UnpackedStaging> {
  const staging = openStaging(layout.staging);
  try {
    const diffDir = join(staging.path, "diff");
    const threads = threadsFor(blob.size, bytesBeside);
    const isTiny = blob.size <= MAX_TINY_BYTES;
    await mkdir(diffDir, { mode: 0o755 });
    const unpacked = await namingLayer(blob.digest, () =>
      unpackLayer({ blob: source, diffDir, signal, limits, onProgress, threads, isTiny }),
    );
    if (unpacked.diffID === diffID) return { staging, unpacked };
    throw new StoreError(
      "ERR_STORE_DIFF_ID_MISMATCH",
      `layer ${blob.digest}: the config says ${diffID}, its archive is ${unpacked.diffID}`,
    );
  } catch (error) {
    await staging[Symbol.asyncDispose]();
    throw error;
  }
}

/** One where a second would not be worth its start, or others keep the processors busy. */
function threadsFor(size: number, bytesBeside: number): 1 | 2 {
  const others = Math.max(1, availableParallelism() - 1);
  return size < MIN_SHARED_BYTES || bytesBeside >= size * others * ENOUGH ? 1 : 2;
}

/** Says of which layer an error speaks. */
async function namingLayer<Result>(digest: Digest, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const { code, message, hint } = error;
    throw new StoreError(code, `layer ${digest}: ${message}`, { cause: error, hint });
  }
}

/**
 * Gives what was unpacked what the layers below say of it.
 *
 * @returns What is to be recorded of the layer.
 */
export async function fitLayer(
  context: StoreContext,
  store: LayerStore,
  { blob, diffID, parent }: LayerPlan,
  { staging, unpacked }: UnpackedStaging,
  onWarning?: (message: string) => void,
): Promise<LayerRecord> {
  const below = await lowerLayer(context, store, parent);
  const diff = join(staging.path, "diff");
  const implied = unpacked.impliedDirectories;
  const overLinks = inheritDirectories(below, diff, implied, context.lowerViews);
  for (const oddity of onWarning ? sayOddities({ ...unpacked, overLinks }) : []) {
    onWarning?.(`layer ${diffID}: ${oddity}`);
  }
  return {
    version: 1,
    id: layerIDOf(diffID, parent),
    ...(parent !== undefined && { parent }),
    diffID,
    blob: keptDescriptor(blob),
    diffSize: unpacked.diffSize,
    entries: unpacked.entries,
    ...(unpacked.isRootOpaque && { isRootOpaque: true }),
    created: new Date().toISOString(),
  };
}

/** Writes the record beside the files, and makes all of it durable. */
export async function sealLayer(record: LayerRecord, { staging }: UnpackedStaging): Promise<void> {
  await writeSyncedFile(join(staging.path, "layer.json"), formatRecord(record));
  // One call for the whole tree; syncing each of its files takes ten times as long.
  await syncFilesystem(staging.path);
}

/** The files of a layer and of all below it, nearest first, as far as they can be seen. */
async function lowerLayer(
  { seenBelow, lowerViews }: StoreContext,
  store: LayerStore,
  top: LayerID | undefined,
): Promise<LowerLayer | undefined> {
  const unknown: string[] = [];
  let layer: LowerLayer | undefined;
  for (let id = top; id !== undefined; id = seenBelow.get(id)) {
    const root = store.diffPath(id);
    layer = lowerViews.find(root);
    if (layer !== undefined) break;
    unknown.push(root);
    if (seenBelow.has(id)) continue;
    const { isRootOpaque, parent } = await store.get(id);
    seenBelow.set(id, isRootOpaque ? undefined : parent);
  }
  for (const root of unknown.toReversed()) layer = lowerViews.add(root, layer);
  return layer;
}
