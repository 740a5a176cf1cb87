import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import {
  type Descriptor,
  type Digest,
  digestOf,
  encodedOf,
  isDigest,
  type JsonValue,
  MEDIA_TYPE,
} from "@stowage/content";
import {
  type ImageRecord,
  type LayerID,
  layerIDs,
  openStore,
  type Store,
  type StoreLimits,
} from "@stowage/store";

import { type RawEntry, rawTar } from "./raw-tar.ts";

/** A store in a directory of its own, which goes with its mounts when it is disposed of. */
export interface StoreWorld extends AsyncDisposable {
  readonly path: string;
  readonly root: string;
  readonly runRoot: string;
  readonly store: Store;
}

export async function openWorld(limits?: Partial<StoreLimits>): Promise<StoreWorld> {
  const path = mkdtempSync(join(tmpdir(), "stowage-store-"));
  const root = join(path, "root");
  const runRoot = join(path, "run");
  const store = await openStore({ root, runRoot, limits });
  return {
    path,
    root,
    runRoot,
    store,
    async [Symbol.asyncDispose]() {
      for (const { id } of await store.mounts.list()) {
        if ((await store.containers.find(id)) === undefined) {
          await store.mounts.unmountImage(`sha256:${id}` as Digest, { force: true });
        } else await store.mounts.unmountContainer(id, { force: true });
      }
      await store[Symbol.asyncDispose]();
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** An image with all its bytes. */
export interface TestImage {
  readonly id: Digest;
  readonly config: Descriptor;
  readonly manifest: Descriptor;
  readonly layers: readonly { readonly blob: Descriptor; readonly diffID: Digest }[];
  readonly layerIDs: readonly LayerID[];
  readonly bytes: ReadonlyMap<Digest, Uint8Array>;
}

/** One archive for each layer, base first. */
export function makeImage(...layers: readonly (readonly RawEntry[])[]): TestImage {
  return makeImageWith({}, ...layers);
}

/** As {@link makeImage}, with fields of the config. */
export function makeImageWith(
  fields: Readonly<Record<string, JsonValue>>,
  ...layers: readonly (readonly RawEntry[])[]
): TestImage {
  const bytes = new Map<Digest, Uint8Array>();
  const add = (content: Uint8Array, mediaType: string): Descriptor => {
    const digest = digestOf(content);
    bytes.set(digest, content);
    return { mediaType, digest, size: content.byteLength };
  };
  const stack = layers.map((entries) => {
    const tar = rawTar(...entries);
    return { blob: add(gzipSync(tar), MEDIA_TYPE.layerGzip), diffID: digestOf(tar) };
  });
  const diffIDs = stack.map(({ diffID }) => diffID);
  const config = addJson(add, MEDIA_TYPE.imageConfig, {
    architecture: "amd64",
    os: "linux",
    config: {},
    ...fields,
    rootfs: { type: "layers", diff_ids: diffIDs },
  });
  const manifest = addJson(add, MEDIA_TYPE.imageManifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    config,
    layers: stack.map(({ blob }) => blob),
  });
  return {
    id: config.digest,
    config,
    manifest,
    layers: stack,
    layerIDs: layerIDs(diffIDs),
    bytes,
  };
}

/** What a pull does with a store, in its order. */
export async function storeImage(store: Store, image: TestImage, name?: string): Promise<void> {
  await using _lease = await store.createLease();
  for (const [digest, content] of image.bytes) {
    await store.blobs.write({ digest, size: content.byteLength }, once(content));
  }
  let parent: LayerID | undefined;
  for (const { blob, diffID } of image.layers) {
    await using staged = await store.layers.stage(blob, diffID);
    parent = (await store.layers.commit(staged, parent)).id;
  }
  await store.images.put(recordOf(image));
  if (name !== undefined) await store.images.setName(name, image.id);
}

export function recordOf(image: TestImage): ImageRecord {
  return {
    version: 1,
    id: image.id,
    config: image.config,
    manifests: [{ manifest: image.manifest, repository: "localhost/test" }],
    layers: image.layerIDs,
    created: new Date().toISOString(),
  };
}

export async function* once(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield content;
}

/** The file of an image's record. */
export function imageFile(root: string, id: Digest): string {
  return join(root, "images", encodedOf(id), "image.json");
}

export function asDigest(text: string): Digest {
  if (!isDigest(text)) throw new TypeError(text);
  return text;
}

function addJson(
  add: (content: Uint8Array, mediaType: string) => Descriptor,
  mediaType: string,
  value: object,
): Descriptor {
  return add(Buffer.from(JSON.stringify(value)), mediaType);
}
