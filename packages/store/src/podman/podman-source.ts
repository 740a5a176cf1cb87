/**
 * Reads the images of a store of podman's: what containers/storage keeps, with the drivers whose
 * layers are plain directories.
 *
 * @see https://github.com/containers/storage/blob/v1.43.0/docs/containers-storage.md
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

import {
  type ByteSource,
  type Digest,
  digestOf,
  escapeText,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
} from "@stowage/content";

import { storeLimits } from "../layer/layer-limits.ts";
import { StoreError } from "../store-error.ts";
import { bigDataFileName } from "./big-data.ts";
import { type ForeignLayer, joinLayer, type LayerPlaces } from "./foreign-layer.ts";
import { ForeignRoot } from "./foreign-root.ts";
import {
  type ForeignImageRecord,
  type ForeignLayerRecord,
  parseForeignImage,
  parseForeignLayer,
} from "./foreign-records.ts";

/** A driver of containers/storage whose layers are read. */
export type PodmanDriver = "overlay" | "vfs";

/** Where a store of podman's is, and how it is read. */
export interface OpenPodmanStoreOptions {
  /** Its `graphRoot`. */
  readonly graphRoot: string;
  /** @defaultValue the one that has kept something there, `overlay` first */
  readonly driver?: string | undefined;
  /** Further stores, which are only read; as `additionalimagestores` has them. @defaultValue none */
  readonly imageStores?: readonly string[] | undefined;
  /** Milliseconds to wait for podman to end what it writes. @defaultValue 60_000 */
  readonly lockTimeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An image as its store lists it. */
export interface PodmanImageRecord {
  /** 64 hex digits. */
  readonly id: string;
  /** In full: `docker.io/library/app:1`. */
  readonly names: readonly string[];
  /** Of all manifests that it is kept with. */
  readonly digests: readonly Digest[];
  /** The store that has it. */
  readonly graphRoot: string;
}

/** A layer of a {@link PodmanImage}. */
export interface PodmanLayer {
  /** As podman names it. */
  readonly id: string;
  /** Of the archive, uncompressed. */
  readonly diffID: Digest;
  /** Bytes of the archive. */
  readonly size: number;
}

/** An image that is read out of a store of podman's. */
export interface PodmanImage {
  readonly record: PodmanImageRecord;
  /** Its very bytes, as they were when it was stored. */
  readonly manifest: Uint8Array;
  /** Base first. */
  readonly layers: readonly PodmanLayer[];
  /** The config by its digest, or a further manifest; `undefined` if it is not kept. */
  readDocument(digest: Digest, options?: PodmanReadOptions): Promise<Uint8Array | undefined>;
  /** The signatures of one of its manifests. */
  readSignatures(manifest: Digest, options?: PodmanReadOptions): Promise<readonly Uint8Array[]>;
  /**
   * The archive of a layer, put together from its files, byte by byte the one that it was made from.
   *
   * @throws {@link StoreError} `ERR_STORE_DIFF_ID_MISMATCH` with the first path that is another than
   *   it was, after the last chunk; `ERR_STORE_LAYER_NOT_FOUND`, `ERR_STORE_CORRUPT`,
   *   `ERR_STORE_LIMIT_EXCEEDED`, `ERR_STORE_BUSY`.
   */
  openLayer(layer: PodmanLayer, options?: PodmanReadOptions): ByteSource;
}

/** A store of podman's that is open for reading. */
export interface PodmanStore extends Disposable {
  readonly graphRoot: string;
  readonly driver: PodmanDriver;
  /** Those of further stores come last. */
  readonly images: readonly PodmanImageRecord[];
  /**
   * @throws {@link StoreError} `ERR_STORE_CORRUPT`, `ERR_STORE_LAYER_NOT_FOUND` for a layer that is
   *   not there, or came in part only; `ERR_STORE_BUSY`
   */
  openImage(image: PodmanImageRecord, options?: PodmanReadOptions): Promise<PodmanImage>;
}

/** How an image of podman's is read. */
export interface PodmanReadOptions {
  readonly signal?: AbortSignal | undefined;
}

const DRIVERS: readonly PodmanDriver[] = ["overlay", "vfs"];
const LOCK_TIMEOUT_MS = 60_000;
const HINT = "Remove the image with podman, and pull it again.";

/**
 * Opens a store of podman's. Nothing in it is changed, and nothing outside its directories is read.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_ROOT` for what is no such store, or one of another
 *   driver; `ERR_STORE_CORRUPT`, `ERR_STORE_BUSY`
 */
export async function openPodmanStore(options: OpenPodmanStoreOptions): Promise<PodmanStore> {
  const { graphRoot, imageStores = [], lockTimeout: timeout = LOCK_TIMEOUT_MS, signal } = options;
  const driver = chooseDriver(graphRoot, options.driver);
  const parts: StorePart[] = [];
  const owners = new Map<PodmanImageRecord, OwnedImage>();
  const close = (): void => parts.forEach(({ root }) => root[Symbol.dispose]());
  try {
    for (const path of [graphRoot, ...imageStores]) {
      const part = new StorePart(new ForeignRoot(path), driver, timeout);
      parts.push(part);
      for (const image of await part.readImages(signal)) {
        const { id, names, digests } = image;
        owners.set({ id, names, digests, graphRoot: path }, { image, part });
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    graphRoot,
    driver,
    images: [...owners.keys()],
    async openImage(record, wait = {}) {
      const owned = owners.get(record);
      if (owned === undefined) throw new TypeError("an image of another store");
      return openImage(record, owned, parts, wait);
    },
    [Symbol.dispose]: close,
  };
}

interface OwnedImage {
  readonly image: ForeignImageRecord;
  readonly part: StorePart;
}

async function openImage(
  record: PodmanImageRecord,
  { image, part }: OwnedImage,
  parts: readonly StorePart[],
  { signal }: PodmanReadOptions,
): Promise<PodmanImage> {
  const manifest = await part.readItem(image, "manifest", MAX_MANIFEST_BYTES);
  if (manifest === undefined) throw damaged(image, "its manifest is not there");
  // A layer is looked for in each store, as podman does: an image may stand on another's layers.
  const stacks = await Promise.all(parts.map((one) => one.readLayers(signal)));
  const layers = stackOf(image, parts, stacks);
  const owners = new Map(layers.map(({ layer, owner }) => [layer.id, owner]));
  return {
    record,
    manifest,
    layers: layers.map(({ layer }) => layer),
    async readDocument(digest) {
      const keys = [digest, `manifest-${digest}`];
      for (const key of keys) {
        const bytes = await part.readItem(
          image,
          key,
          Math.max(MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES),
        );
        if (bytes === undefined) continue;
        if (digestOf(bytes) === digest) return bytes;
        throw damaged(image, `what it keeps as ${digest} is something else`);
      }
      return undefined;
    },
    readSignatures: (digest) => part.readSignatures(image, digest),
    async *openLayer(layer, wait = {}) {
      const owner = owners.get(layer.id);
      if (owner === undefined) throw new TypeError("a layer of another image");
      yield* owner.joinLayer(layer, layer.size, wait.signal);
    },
  };
}

interface OwnedLayer {
  readonly layer: PodmanLayer;
  readonly owner: StorePart;
}

function stackOf(
  image: ForeignImageRecord,
  parts: readonly StorePart[],
  stacks: readonly ReadonlyMap<string, ForeignLayerRecord>[],
): readonly OwnedLayer[] {
  const found: OwnedLayer[] = [];
  const seen = new Set<string>();
  for (let next = image.layer; next !== undefined;) {
    const id = next;
    const at = stacks.findIndex((stack) => stack.has(id));
    const layer = stacks[at]?.get(id);
    const owner = parts[at];
    if (layer === undefined || owner === undefined) {
      throw noLayer(image, `layer ${id} is not there`);
    }
    if (seen.has(id)) throw damaged(image, `layer ${id} stands on itself`);
    seen.add(id);
    const { diffID, size } = layer;
    if (layer.isIncomplete || diffID === undefined || size === undefined) {
      throw noLayer(image, `layer ${id} has come in part only`);
    }
    found.unshift({ layer: { id, diffID, size }, owner });
    next = layer.parent;
  }
  return found;
}

/** One graph root. */
class StorePart {
  readonly root: ForeignRoot;
  readonly #driver: PodmanDriver;
  readonly #timeout: number;

  constructor(root: ForeignRoot, driver: PodmanDriver, timeout: number) {
    this.root = root;
    this.#driver = driver;
    this.#timeout = timeout;
  }

  async readImages(signal: AbortSignal | undefined): Promise<ForeignImageRecord[]> {
    const folder = `${this.#driver}-images`;
    using _lock = await this.#lock(`${folder}/images.lock`, signal);
    return this.#parseAll(`${folder}/images.json`, parseForeignImage);
  }

  async readLayers(
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, ForeignLayerRecord>> {
    const folder = `${this.#driver}-layers`;
    using _lock = await this.#lock(`${folder}/layers.lock`, signal);
    const layers = [
      ...(await this.#parseAll(`${folder}/layers.json`, parseForeignLayer)),
      ...(await this.#parseAll(`${folder}/volatile-layers.json`, parseForeignLayer)),
    ];
    return new Map(layers.map((layer) => [layer.id, layer]));
  }

  readItem(
    { id }: ForeignImageRecord,
    key: string,
    maxBytes: number,
  ): Promise<Uint8Array | undefined> {
    return this.root.readFile(`${this.#driver}-images/${id}/${bigDataFileName(key)}`, maxBytes);
  }

  async readSignatures(
    image: ForeignImageRecord,
    manifest: Digest,
  ): Promise<readonly Uint8Array[]> {
    const { key, sizes } = image.signaturesOf(manifest);
    if (sizes.length === 0) return [];
    const bytes = await this.readItem(image, key, MAX_MANIFEST_BYTES);
    const ends = sizes.map((_, at) => sizes.slice(0, at + 1).reduce((sum, size) => sum + size, 0));
    if (bytes === undefined || bytes.length !== ends.at(-1)) {
      throw damaged(image, "its signatures are not all there");
    }
    return sizes.map((size, at) => bytes.subarray((ends[at] ?? 0) - size, ends[at]));
  }

  /** Holds the lock of the layers meanwhile, as podman does, so that nobody removes it. */
  async *joinLayer(
    layer: ForeignLayer,
    size: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    using _lock = await this.#lock(`${this.#driver}-layers/layers.lock`, signal);
    const maxBytes = Math.min(size, storeLimits().maxBytes);
    yield* joinLayer(this.root, layer, placesOf(this.#driver, layer.id), { maxBytes, signal });
  }

  async #parseAll<Parsed>(path: string, parse: (value: unknown) => Parsed): Promise<Parsed[]> {
    const records = (await this.root.readRecords(path)) ?? [];
    return records.map((record, at) => {
      try {
        return parse(record);
      } catch (cause) {
        const reason = cause instanceof Error ? escapeText(cause.message) : "unreadable";
        const message = `${escapeText(join(this.root.path, path))}: record ${at}: ${reason}`;
        throw new StoreError("ERR_STORE_CORRUPT", message, { cause });
      }
    });
  }

  #lock(path: string, signal: AbortSignal | undefined): Promise<Disposable> {
    return this.root.lock(path, { signal, timeout: this.#timeout });
  }
}

function placesOf(driver: PodmanDriver, id: string): LayerPlaces {
  return {
    tree: driver === "overlay" ? `overlay/${id}/diff` : `vfs/dir/${id}`,
    tarSplit: `${driver}-layers/${id}.tar-split.gz`,
  };
}

function chooseDriver(graphRoot: string, wanted: string | undefined): PodmanDriver {
  const known = DRIVERS.find((driver) =>
    wanted === undefined ? existsSync(join(graphRoot, `${driver}-images`)) : driver === wanted,
  );
  if (known !== undefined) return known;
  const what =
    wanted === undefined
      ? "it is no store of podman's, or one of a driver that is not read"
      : `the driver ${escapeText(wanted)} is not read`;
  throw new StoreError("ERR_STORE_INVALID_ROOT", `${escapeText(graphRoot)}: ${what}`, {
    hint: `Name its graphRoot, as podman info tells it; its driver has to be ${DRIVERS.join(" or ")}.`,
  });
}

function damaged({ id }: ForeignImageRecord, what: string): StoreError {
  return new StoreError("ERR_STORE_CORRUPT", `image ${id} of podman: ${what}`, { hint: HINT });
}

function noLayer({ id }: ForeignImageRecord, what: string): StoreError {
  const message = `image ${id} of podman: ${what}`;
  return new StoreError("ERR_STORE_LAYER_NOT_FOUND", message, { hint: HINT });
}
