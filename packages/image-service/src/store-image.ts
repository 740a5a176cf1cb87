import {
  type ByteSource,
  type ContentProvider,
  type Descriptor,
  digestOf,
  hasErrorCode,
  MAX_CONFIG_BYTES,
  parseImageConfig,
  type Platform,
  readContent,
} from "@stowage/content";
import { formatRepository, type Reference } from "@stowage/reference";
import { type ImageRecord, type LayerID, layerIDs, type Store } from "@stowage/store";

import { createBlobTransfer } from "./blob-transfer.ts";
import { checkImageConfig } from "./image-config-check.ts";
import { canonicalName, storedName } from "./image-names.ts";
import type { PulledImage } from "./pulled-image.ts";
import type { OpenedImage } from "./ports.ts";
import type { PullOptions } from "./pull-options.ts";
import type { PullProgress } from "./pull-progress.ts";
import { requireSpace } from "./require-space.ts";
import type { ResolvedManifest } from "./resolve-manifest.ts";
import type { TurnQueue } from "./turn-queue.ts";
import { unpackLayers } from "./unpack-layers.ts";

/** How {@link storeImage} goes about it. */
export interface StoreImageOptions {
  readonly platform: Platform;
  readonly isPlatformAsked: boolean;
  /** As {@link PullOptions.reuse}. */
  readonly reuse: PullOptions["reuse"];
  readonly turns: TurnQueue;
  /** What the policy wants kept with the image. */
  readonly signatures?: Uint8Array | undefined;
  readonly signal: AbortSignal;
  readonly emit: (event: PullProgress) => void;
}

const MAX_ATTEMPTS = 3;

/**
 * Takes into the store what is missing of an image, and then names it: blobs, layers from the base
 * up, manifests, record, name. Whatever is visible is whole, wherever this stops.
 */
export async function storeImage(
  store: Store,
  opened: OpenedImage,
  reference: Reference,
  resolved: ResolvedManifest,
  options: StoreImageOptions,
): Promise<PulledImage> {
  const { signal, emit, turns, platform, isPlatformAsked } = options;
  const { manifest, fetched, index } = resolved;
  const id = manifest.config.digest;
  const signatures = options.signatures && signaturesDescriptor(options.signatures);
  const named = [manifest.config, ...manifest.layers, fetched.descriptor];
  const more = [...(index ? [index.descriptor] : []), ...(signatures ? [signatures] : [])];
  const blobs = [...named, ...more].map(({ digest }) => digest);
  // What is named is kept, and nothing else: a pull that takes hours holds up no collection.
  const name = storedName(reference);
  const transfer = { name, digest: fetched.descriptor.digest, content: manifest.layers };
  await using _blobs = await store.createLease({ blobs, transfer, signal });
  const repository = formatRepository(reference.repository);
  const bringing = createBlobTransfer({
    store,
    source: opened,
    repository,
    reuse: options.reuse,
    emit,
  });
  const configBytes = await readConfig(store, bringing.source, manifest.config, signal);
  const config = parseImageConfig(configBytes);
  for (const message of checkImageConfig(config, manifest, platform, isPlatformAsked)) {
    emit({ type: "warning", message });
  }
  const ids = layerIDs(config.rootfs.diff_ids);
  await using _layers = await store.createLease({ layers: ids, signal });
  await requireSpace(store, manifest, ids);
  const layers = await unpackLayers(manifest, config.rootfs.diff_ids, {
    store,
    turns,
    emit,
    signal,
    transfer: bringing,
  });
  await writeBytes(store, manifest.config, configBytes, signal);
  await writeBytes(store, fetched.descriptor, fetched.bytes, signal);
  if (index) await writeBytes(store, index.descriptor, index.bytes, signal);
  if (options.signatures && signatures) {
    await writeBytes(store, signatures, options.signatures, signal);
  }
  await record(store, reference, { ...resolved, signatures }, layers, name, signal);
  emit({ type: "stored", id, name });
  return {
    canonical: canonicalName(repository, fetched.descriptor),
    ...(index && { indexCanonical: canonicalName(repository, index.descriptor) }),
    id,
    name,
    names: await store.images.namesOf(id),
    transferred: bringing.transferred(),
  };
}

/** The config that is here already, if it is sound; else the registry's. */
async function readConfig(
  store: Store,
  source: ContentProvider,
  config: Descriptor,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const options = { maxBytes: MAX_CONFIG_BYTES, signal };
  if ((await store.blobs.stat(config.digest))?.size === config.size) {
    try {
      return await readContent(store.blobs, config, options);
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }
  return await readContent(source, config, options);
}

async function writeBytes(
  store: Store,
  descriptor: Descriptor,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  await store.blobs.write(descriptor, once(bytes), { signal });
}

function signaturesDescriptor(bytes: Uint8Array): Descriptor {
  return { mediaType: "application/json", digest: digestOf(bytes), size: bytes.byteLength };
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}

async function record(
  store: Store,
  reference: Reference,
  resolved: ResolvedManifest & { readonly signatures: Descriptor | undefined },
  layers: readonly LayerID[],
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const { manifest, fetched, index, platform, signatures } = resolved;
  const { config } = manifest;
  signal.throwIfAborted();
  const image: ImageRecord = {
    version: 1,
    id: config.digest,
    config,
    manifests: [
      {
        manifest: { ...fetched.descriptor, ...(platform && { platform }) },
        ...(index && { index: index.descriptor }),
        repository: formatRepository(reference.repository),
        ...(signatures && { signatures }),
      },
    ],
    layers,
    created: new Date().toISOString(),
  };
  for (let attempt = 1; ; attempt += 1) {
    await store.images.put(image, { signal });
    try {
      await store.images.setName(name, config.digest, { signal });
      return;
    } catch (error) {
      // Somebody removed the image in between; what it is made of is still leased.
      if (attempt === MAX_ATTEMPTS || !hasErrorCode(error, "ERR_STORE_IMAGE_NOT_FOUND"))
        throw error;
    }
  }
}
