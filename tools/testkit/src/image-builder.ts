import { gzipSync, zstdCompressSync } from "node:zlib";

import {
  type ContentStore,
  type Descriptor,
  digestOf,
  hostPlatform,
  type ImageExecution,
  MEDIA_TYPE,
  type Platform,
} from "@stowage/content";

import { createTar, type TarEntry } from "./tar-writer.ts";

/** A layer as it is asked for: entries, or an archive that is there already. */
export interface LayerSpec {
  readonly entries?: readonly TarEntry[];
  readonly tar?: Uint8Array;
  /** @defaultValue "gzip" */
  readonly compression?: "gzip" | "none" | "zstd";
}

/** What {@link putImage} makes. */
export interface ImageSpec {
  readonly layers: readonly LayerSpec[];
  readonly config?: ImageExecution;
  /** @defaultValue that of this host */
  readonly platform?: Platform;
}

const LAYER_TYPES = {
  gzip: MEDIA_TYPE.layerGzip,
  none: MEDIA_TYPE.layerTar,
  zstd: MEDIA_TYPE.layerZstd,
} as const;

/** Builds an image into a content store; resolves to the descriptor of its manifest. */
export async function putImage(store: ContentStore, spec: ImageSpec): Promise<Descriptor> {
  const platform = spec.platform ?? hostPlatform();
  const tars = spec.layers.map(({ tar, entries = [] }) => tar ?? createTar(entries));
  const layers: Descriptor[] = [];
  for (const [at, { compression = "gzip" }] of spec.layers.entries()) {
    const packed = compress(tars[at] ?? new Uint8Array(), compression);
    layers.push(await putBlob(store, LAYER_TYPES[compression], packed));
  }
  const config = await putJson(store, MEDIA_TYPE.imageConfig, {
    ...platform,
    ...(spec.config && { config: spec.config }),
    rootfs: { type: "layers", diff_ids: tars.map((tar) => digestOf(tar)) },
  });
  const mediaType = MEDIA_TYPE.imageManifest;
  const manifest = await putJson(store, mediaType, { schemaVersion: 2, mediaType, config, layers });
  return { ...manifest, platform };
}

/** Builds an index of manifests that are in the store. */
export function putIndex(
  store: ContentStore,
  manifests: readonly Descriptor[],
): Promise<Descriptor> {
  const mediaType = MEDIA_TYPE.imageIndex;
  return putJson(store, mediaType, { schemaVersion: 2, mediaType, manifests });
}

/** Puts bytes into a content store under what they are called. */
export async function putBlob(
  store: ContentStore,
  mediaType: string,
  bytes: Uint8Array,
): Promise<Descriptor> {
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  await store.write(descriptor, once(bytes));
  return descriptor;
}

function putJson(store: ContentStore, mediaType: string, document: unknown): Promise<Descriptor> {
  return putBlob(store, mediaType, Buffer.from(JSON.stringify(document)));
}

function compress(tar: Uint8Array, compression: "gzip" | "none" | "zstd"): Uint8Array {
  if (compression === "none") return tar;
  return compression === "zstd" ? zstdCompressSync(tar) : gzipSync(tar, { level: 1 });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
