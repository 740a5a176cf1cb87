import { availableParallelism } from "node:os";

import { type Descriptor, type DiffID, hasErrorCode, type ImageManifest } from "@stowage/content";
import { type LayerID, layerIDs, type LayerRecord, type Store } from "@stowage/store";

import type { BlobTransfer } from "./blob-transfer.ts";
import type { PullProgress } from "./pull-progress.ts";
import { createSlots, type Slots, type TurnQueue } from "./turn-queue.ts";

/** What {@link unpackLayers} works with. */
export interface UnpackLayersOptions {
  readonly store: Store;
  /** One unpacking per layer in the process. */
  readonly turns: TurnQueue;
  readonly emit: (event: PullProgress) => void;
  readonly transfer: BlobTransfer;
  readonly signal: AbortSignal;
}

interface LayerOptions extends UnpackLayersOptions {
  readonly slots: Slots;
  /** Bytes of each that have not been unpacked yet. */
  readonly ahead: Map<LayerID, number>;
}

interface LayerJob {
  readonly blob: Descriptor;
  readonly diffID: DiffID;
  readonly id: LayerID;
  readonly parent: LayerID | undefined;
}

/**
 * Sees to it that every layer of an image is in the store: blobs arrive side by side, each is
 * unpacked as it comes, and layers are committed base first.
 *
 * The first failure stops the rest, and is what this rejects with once nothing is running any more.
 *
 * @returns the layers' IDs, base first.
 */
export async function unpackLayers(
  manifest: ImageManifest,
  diffIDs: readonly DiffID[],
  options: UnpackLayersOptions,
): Promise<readonly LayerID[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  // Each unpacking keeps a thread busy, and each pull should get on.
  const slots = createSlots(availableParallelism());
  const ids = layerIDs(diffIDs);
  const jobs = new Map<number, Promise<void>>();
  const ahead = new Map(manifest.layers.map(({ size }, index) => [ids[index] as LayerID, size]));
  for (const index of largestFirst(manifest.layers)) {
    const blob = manifest.layers[index] as Descriptor;
    const diffID = diffIDs[index] as DiffID;
    const job = { blob, diffID, id: ids[index] as LayerID, parent: ids[index - 1] };
    const below = async (): Promise<void> => await jobs.get(index - 1);
    const done = obtainLayer(job, below, { ...options, signal, slots, ahead });
    done.catch((error: unknown) => stop.abort(error));
    jobs.set(index, done);
  }
  await Promise.allSettled(jobs.values());
  signal.throwIfAborted();
  return ids;
}

/** So that no large one is left to be unpacked alone in the end, by one thread. */
function largestFirst(layers: readonly Descriptor[]): readonly number[] {
  const sizeOf = (index: number): number => layers[index]?.size ?? 0;
  return [...layers.keys()].toSorted((one, other) => sizeOf(other) - sizeOf(one));
}

/** The layers that are whole in the store, by ID. */
export async function findLayers(
  store: Store,
  ids: readonly LayerID[],
): Promise<ReadonlyMap<LayerID, LayerRecord>> {
  const found = new Map<LayerID, LayerRecord>();
  for (const id of new Set(ids)) {
    const record = await findSoundLayer(store, id);
    if (record !== undefined) found.set(id, record);
  }
  return found;
}

async function obtainLayer(
  job: LayerJob,
  below: () => Promise<void>,
  options: LayerOptions,
): Promise<void> {
  const { store, transfer, signal, emit, ahead } = options;
  const { blob, diffID, id, parent } = job;
  const { digest, size } = blob;
  const isCommitted = async (): Promise<boolean> => {
    const record = await findSoundLayer(store, id);
    if (record === undefined) return false;
    if (await store.layers.isSuspect(id, { signal })) await mend(job, record, below, options);
    // Only the blob itself is missing: the root would be no OCI layout without it.
    if (record.blob.digest === digest && (await store.blobs.stat(digest))?.size !== size) {
      await transfer.fetch(blob, signal);
    }
    ahead.delete(id);
    emit({ type: "layer-exists", digest, diffID, size });
    return true;
  };
  if (await isCommitted()) return await below();
  const arriving = transfer.fetch(blob, signal);
  // Told where it is waited for.
  arriving.catch(() => {});
  await options.turns.run(
    id,
    async () => {
      if (await isCommitted()) return;
      await using staged = await options.slots.run(async () => {
        const own = ahead.get(id) ?? 0;
        const bytesBeside = ahead.values().reduce((sum, bytes) => sum + bytes, -own);
        emit({ type: "unpack-start", digest, diffID });
        const onProgress = (read: number): void => {
          ahead.set(id, size - read);
          emit({ type: "unpack-progress", digest, diffID, read, size });
        };
        return await store.layers.stage(blob, diffID, {
          signal,
          onProgress,
          arriving,
          bytesBeside,
        });
      }, signal);
      await below();
      signal.throwIfAborted();
      const onWarning = (message: string): void => emit({ type: "warning", message });
      await store.layers.commit(staged, parent, { onWarning });
      emit({ type: "unpack-done", digest, diffID });
    },
    signal,
  );
  await arriving;
  await below();
}

/**
 * Compares a layer that was changed since it was stored with its blob, which is read first and got
 * again if need be. What is below comes first: a layer takes over from it.
 */
async function mend(
  { id, diffID }: LayerJob,
  { blob }: LayerRecord,
  below: () => Promise<void>,
  { store, transfer, signal, emit }: UnpackLayersOptions,
): Promise<void> {
  await below();
  await transfer.fetch(blob, signal);
  const outcome = await store.layers.mend(id, { signal });
  if (outcome === "sound") return;
  const message = `layer ${diffID} was damaged here, and has been unpacked again`;
  emit({ type: "warning", message });
}

async function findSoundLayer(store: Store, id: LayerID): Promise<LayerRecord | undefined> {
  try {
    return await store.layers.find(id);
  } catch (error) {
    // Unpacking it again is what mends it.
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}
