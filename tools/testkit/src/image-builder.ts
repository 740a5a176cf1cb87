import { gzipSync, zstdCompressSync } from "node:zlib";

import {
  type ContentStore,
  type Descriptor,
  type Digest,
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

/** What {@link buildImage} makes. */
export interface ImageSpec {
  readonly layers: readonly LayerSpec[];
  readonly config?: ImageExecution;
  /** @defaultValue that of this host */
  readonly platform?: Platform;
  /** Whose words the documents use. Docker has none for zstd; OCI's stands in. @defaultValue "oci" */
  readonly mediaTypes?: "docker" | "oci";
}

/** A manifest or an index, and all that it needs, as bytes. */
export interface BuiltImage {
  /** Of the manifest or index. */
  readonly descriptor: Descriptor;
  readonly manifest: Uint8Array;
  /** Everything under its digest, the manifests included. */
  readonly blobs: ReadonlyMap<Digest, { readonly mediaType: string; readonly bytes: Uint8Array }>;
}

const WORDS = {
  oci: {
    manifest: MEDIA_TYPE.imageManifest,
    index: MEDIA_TYPE.imageIndex,
    config: MEDIA_TYPE.imageConfig,
    gzip: MEDIA_TYPE.layerGzip,
    none: MEDIA_TYPE.layerTar,
    zstd: MEDIA_TYPE.layerZstd,
  },
  docker: {
    manifest: MEDIA_TYPE.dockerManifest,
    index: MEDIA_TYPE.dockerManifestList,
    config: MEDIA_TYPE.dockerConfig,
    gzip: MEDIA_TYPE.dockerLayer,
    none: "application/vnd.docker.image.rootfs.diff.tar",
    zstd: MEDIA_TYPE.layerZstd,
  },
} as const;

type Blobs = Map<Digest, { readonly mediaType: string; readonly bytes: Uint8Array }>;

/** Builds an image in memory. */
export function buildImage(spec: ImageSpec): BuiltImage {
  const words = WORDS[spec.mediaTypes ?? "oci"];
  const platform = spec.platform ?? hostPlatform();
  const blobs: Blobs = new Map();
  const tars = spec.layers.map(({ tar, entries = [] }) => tar ?? createTar(entries));
  const layers = spec.layers.map(({ compression = "gzip" }, at) =>
    addBlob(blobs, words[compression], compress(tars[at] ?? new Uint8Array(), compression)),
  );
  const config = addJson(blobs, words.config, {
    ...platform,
    ...(spec.config && { config: spec.config }),
    rootfs: { type: "layers", diff_ids: tars.map((tar) => digestOf(tar)) },
  });
  const mediaType = words.manifest;
  const document = { schemaVersion: 2, mediaType, config, layers };
  return finish(blobs, { ...addJson(blobs, mediaType, document), platform });
}

/** Builds an index of images, in memory. */
export function buildIndex(
  images: readonly BuiltImage[],
  mediaTypes: "docker" | "oci" = "oci",
): BuiltImage {
  const blobs: Blobs = new Map(images.flatMap((image) => [...image.blobs]));
  const mediaType = WORDS[mediaTypes].index;
  const manifests = images.map(({ descriptor }) => descriptor);
  return finish(blobs, addJson(blobs, mediaType, { schemaVersion: 2, mediaType, manifests }));
}

/** Builds an image into a content store; resolves to the descriptor of its manifest. */
export async function putImage(
  store: ContentStore,
  image: BuiltImage | ImageSpec,
): Promise<Descriptor> {
  const { blobs, descriptor } = "blobs" in image ? image : buildImage(image);
  for (const { mediaType, bytes } of blobs.values()) await putBlob(store, mediaType, bytes);
  return descriptor;
}

/** Builds an index of manifests that are in the store. */
export function putIndex(
  store: ContentStore,
  manifests: readonly Descriptor[],
): Promise<Descriptor> {
  const mediaType = MEDIA_TYPE.imageIndex;
  const document = { schemaVersion: 2, mediaType, manifests };
  return putBlob(store, mediaType, Buffer.from(JSON.stringify(document)));
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

function finish(blobs: Blobs, descriptor: Descriptor): BuiltImage {
  const manifest = blobs.get(descriptor.digest)?.bytes ?? new Uint8Array();
  return { descriptor, manifest, blobs };
}

function addJson(blobs: Blobs, mediaType: string, document: unknown): Descriptor {
  return addBlob(blobs, mediaType, Buffer.from(JSON.stringify(document)));
}

function addBlob(blobs: Blobs, mediaType: string, bytes: Uint8Array): Descriptor {
  const digest = digestOf(bytes);
  blobs.set(digest, { mediaType, bytes });
  return { mediaType, digest, size: bytes.byteLength };
}

function compress(tar: Uint8Array, compression: "gzip" | "none" | "zstd"): Uint8Array {
  if (compression === "none") return tar;
  return compression === "zstd" ? zstdCompressSync(tar) : gzipSync(tar, { level: 1 });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
