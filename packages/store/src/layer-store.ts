import { lstatSync } from "node:fs";
import { join } from "node:path";

import { type Descriptor, type DiffID, escapeText, hasErrorCode } from "@stowage/content";

import { createTreeComparer } from "./check/tree-comparer.ts";
import { isLayerID, type LayerID, layerIDOf } from "./layer-id.ts";
import { type LayerRecord, parseLayerRecord } from "./layer-record.ts";
import { renameNoReplace } from "./linux/file-calls.ts";
import { syncDirectory } from "./publish-file.ts";
import { readRecord, readRecords, type RecordList } from "./record-file.ts";
import { fitLayer, sealLayer, type UnpackedStaging, unpackBlob } from "./stage-layer.ts";
import { replaceLayer } from "./replace-layer.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { diffPath, layerPath } from "./store-layout.ts";
import { reportFailures } from "./system-failure.ts";
import { isLayerSuspect, verifyLayer } from "./verify-layer.ts";

/** How {@link LayerStore.stage} unpacks. */
export interface StageLayerOptions {
  readonly signal?: AbortSignal | undefined;
  /** Is told how many bytes of the blob have been read. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /**
   * Settles when the blob is in the store, or will not be. Until then what has come of it is
   * unpacked; a rejection is passed on.
   *
   * @defaultValue it is in the store
   */
  readonly arriving?: Promise<unknown> | undefined;
  /**
   * Bytes of other blobs that the caller is staging, or will when there are threads for them. Two
   * threads share a large layer which these do not keep the other processors busy beside.
   *
   * @defaultValue 0
   */
  readonly bytesBeside?: number | undefined;
}

/** How {@link LayerStore.commit} stores. */
export interface CommitLayerOptions {
  /** Is told what may not be what the layer's author meant, such as a directory that hides a link. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * A layer that is unpacked and not in the store yet. Disposing of it removes it, unless it has been
 * committed.
 */
export interface StagedLayer extends AsyncDisposable {
  readonly blob: Descriptor;
  readonly diffID: DiffID;
  /** Bytes of the uncompressed archive. */
  readonly diffSize: number;
  readonly entries: number;
}

/**
 * Unpacked layers. One is staged, in any order and at the same time as others, and then committed on
 * its parent, base first. What is in the store is whole.
 */
export interface LayerStore {
  find(id: LayerID): Promise<LayerRecord | undefined>;
  /**
   * @throws {@link StoreError} `ERR_STORE_LAYER_NOT_FOUND`; `ERR_STORE_CORRUPT` when its record can
   *   not be read.
   */
  get(id: LayerID): Promise<LayerRecord>;
  /** Where the files of a layer are, or would be. */
  diffPath(id: LayerID): string;
  walk(): AsyncIterable<LayerRecord>;
  /**
   * Unpacks a blob of the store, off this thread.
   *
   * @throws {@link StoreError} `ERR_STORE_DIFF_ID_MISMATCH` when the archive is another than
   *   `diffID`; `ERR_STORE_INVALID_LAYER`, `ERR_STORE_LAYER_ESCAPE`, `ERR_STORE_LIMIT_EXCEEDED`,
   *   `ERR_STORE_DECOMPRESS`, `ERR_STORE_UNSUPPORTED_COMPRESSION` for what is in it;
   *   `ERR_STORE_NO_SPACE`, `ERR_STORE_IO` for the disk.
   */
  stage(blob: Descriptor, diffID: DiffID, options?: StageLayerOptions): Promise<StagedLayer>;
  /**
   * Makes a staged layer durable, and then visible, on top of `parent`. Where another process was
   * quicker, its layer stays and is answered.
   *
   * @throws {@link StoreError} `ERR_STORE_LAYER_NOT_FOUND` when the parent is not there;
   *   `ERR_STORE_LIMIT_EXCEEDED` when it and those below it have more bytes than an image may;
   *   `ERR_STORE_INVALID_ARGUMENT` when `staged` has been committed or disposed of.
   */
  commit(staged: StagedLayer, parent?: LayerID, options?: CommitLayerOptions): Promise<LayerRecord>;
  /**
   * Whether a layer, or the blob that it was made from, was changed through the file system since it
   * was stored, or compared last. Looks at every file, and reads none.
   */
  isSuspect(id: LayerID, options?: { readonly signal?: AbortSignal | undefined }): Promise<boolean>;
  /**
   * Compares a layer with what its blob unpacks to, and puts it in order where it differs: in one
   * step, with what has it mounted keeping the old files. The layers below have to be sound.
   *
   * @throws {@link StoreError} As {@link LayerStore.stage}, where the blob is not whole.
   */
  mend(
    id: LayerID,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<"repaired" | "sound">;
  /**
   * Resolves to whether there was anything to remove.
   *
   * @throws {@link StoreError} `ERR_STORE_LAYER_IN_USE` when a layer lies on it, or an image or a
   *   container needs it.
   */
  remove(id: LayerID): Promise<boolean>;
}

/** Says who needs a layer, or nothing. */
export type LayerUsers = (id: LayerID) => Promise<readonly string[]>;

export function createLayerStore(context: StoreContext, usersOf: LayerUsers): LayerStore {
  const { layout } = context;
  const unfinished = new WeakMap<StagedLayer, UnpackedStaging>();
  const store: LayerStore = {
    find: (id) => findLayer(context, id),
    async get(id) {
      const record = await store.find(id);
      if (record !== undefined) return record;
      throw new StoreError("ERR_STORE_LAYER_NOT_FOUND", `layer ${escapeText(id)} is not stored`);
    },
    diffPath: (id) => diffPath(layout, id),
    async *walk() {
      yield* (await listLayers(context)).records;
    },
    async stage(blob, diffID, options) {
      return await reportFailures(`layer ${blob.digest} can not be unpacked`, async () => {
        options?.signal?.throwIfAborted();
        const rest = await unpackBlob(context, { blob, diffID }, options);
        const { diffSize, entries } = rest.unpacked;
        const staged: StagedLayer = {
          blob,
          diffID,
          diffSize,
          entries,
          [Symbol.asyncDispose]: () => rest.staging[Symbol.asyncDispose](),
        };
        unfinished.set(staged, rest);
        return staged;
      });
    },
    async commit(staged, parent, options) {
      const rest = unfinished.get(staged);
      if (rest === undefined) {
        throw new StoreError(
          "ERR_STORE_INVALID_ARGUMENT",
          `layer ${staged.diffID} is not staged: it was committed or dropped`,
        );
      }
      return await reportFailures(`layer ${staged.diffID} can not be stored`, async () => {
        const record = await commitLayer(context, store, { staged, rest, parent }, options);
        unfinished.delete(staged);
        await staged[Symbol.asyncDispose]();
        return record;
      });
    },
    async isSuspect(id, { signal } = {}) {
      const record = await store.get(id);
      return await isLayerSuspect(context, id, record, signal);
    },
    async mend(id, { signal } = {}) {
      return await reportFailures(`layer ${id} can not be repaired`, async () => {
        const plan = await store.get(id);
        await using comparer = createTreeComparer();
        const how = { repair: true, isBelowSound: true, signal };
        const { replaced } = await verifyLayer(context, store, comparer, plan, how);
        return replaced === undefined ? "sound" : "repaired";
      });
    },
    async remove(id) {
      return await reportFailures(`layer ${id} can not be removed`, async () => {
        let trashed: string | undefined;
        {
          using _gc = await context.lock("gc", "exclusive");
          const users = await usersOf(id);
          if (users.length > 0) {
            const message = `layer ${id} is needed by ${escapeText(users.join(", "))}`;
            throw new StoreError("ERR_STORE_LAYER_IN_USE", message);
          }
          trashed = context.moveToTrash(layerPath(layout, id));
        }
        if (trashed === undefined) return false;
        await syncDirectory(layout.layers);
        await context.emptyTrash([trashed]);
        return true;
      });
    },
  };
  return store;
}

/** All layers of a store. */
export function listLayers(context: StoreContext): Promise<RecordList<LayerRecord>> {
  return readRecords(
    context.layout.layers,
    (entry) => (isLayerID(entry) ? join(entry, "layer.json") : undefined),
    readLayer,
  );
}

interface LayerToCommit {
  readonly staged: StagedLayer;
  readonly rest: UnpackedStaging;
  readonly parent: LayerID | undefined;
}

async function commitLayer(
  context: StoreContext,
  store: LayerStore,
  { staged: { blob, diffID }, rest, parent }: LayerToCommit,
  options: CommitLayerOptions = {},
): Promise<LayerRecord> {
  const { layout } = context;
  const { staging } = rest;
  await requireImageSize(context, store, rest.unpacked.diffSize, parent);
  const record = await fitLayer(context, store, { blob, diffID, parent }, rest, options.onWarning);
  const { id } = record;
  await sealLayer(record, rest);
  let winner: LayerRecord | undefined = record;
  {
    using _gc = await context.lock("gc", "shared");
    if (parent !== undefined) await store.get(parent);
    try {
      renameNoReplace(staging.path, layerPath(layout, id));
    } catch (error) {
      if (!hasErrorCode(error, "EEXIST", "ENOTEMPTY")) throw error;
      winner = await soundLayer(store, id);
    }
  }
  // Also where another was quicker, who may not have come to that yet.
  await syncDirectory(layout.layers);
  if (winner !== undefined) return winner;
  await replaceLayer(context, store, id, staging);
  return record;
}

/** All that an image unpacks to, as far as this layer. */
async function requireImageSize(
  { limits: { maxImageBytes: maxBytes }, stackBytes }: StoreContext,
  store: LayerStore,
  own: number,
  parent: LayerID | undefined,
): Promise<void> {
  let below = 0;
  for (let next = parent; next !== undefined;) {
    const known = stackBytes.get(next);
    if (known !== undefined) {
      below += known;
      break;
    }
    const record = await store.get(next);
    below += record.diffSize;
    next = record.parent;
  }
  if (parent !== undefined) stackBytes.set(parent, below);
  if (below + own <= maxBytes) return;
  const message = `the layers of an image have more than ${maxBytes} bytes`;
  throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
}

/** What another process committed, unless its record is damaged. */
async function soundLayer(store: LayerStore, id: LayerID): Promise<LayerRecord | undefined> {
  try {
    return await store.find(id);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

async function findLayer(context: StoreContext, id: LayerID): Promise<LayerRecord | undefined> {
  if (!isLayerID(id)) return undefined;
  const path = layerPath(context.layout, id);
  const record = await readLayer(join(path, "layer.json"), id);
  if (record === undefined) return undefined;
  const diff = join(path, "diff");
  if (hasEntry(diff)) return record;
  // Somebody has removed it since its record was read, and may have stored it anew.
  if (!hasEntry(path)) return undefined;
  if (hasEntry(diff)) return record;
  throw new StoreError("ERR_STORE_CORRUPT", `layer ${id} has lost its files`, {
    hint: "Pull an image that has this layer: it is unpacked again.",
  });
}

function hasEntry(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

async function readLayer(path: string, id: string): Promise<LayerRecord | undefined> {
  return await readRecord(path, (value) => {
    const record = parseLayerRecord(value);
    if (record.id !== id) throw new TypeError("it is the record of another layer");
    if (record.id !== layerIDOf(record.diffID, record.parent)) {
      throw new TypeError("its ID does not follow from its parent and its diff ID");
    }
    return record;
  });
}
