/**
 * Images of a store of podman's, as a place to copy from. Their layers have been unpacked there, and
 * the archives that they are put together to are no longer packed: the manifest is written anew for
 * those, and the config, and so the image ID, stays.
 *
 * @module
 */
import {
  type ByteSource,
  ContentError,
  type Descriptor,
  type Digest,
  type FetchedManifest,
  isImageConfigMediaType,
  type JsonValue,
  MEDIA_TYPE,
  type OpenContentOptions,
  parseImageConfig,
  parseJsonDocument,
  parseManifest,
} from "@stowage/content";
import { formatReference, formatRepository, type Reference } from "@stowage/reference";
import type { CopySource } from "@stowage/registry";
import type { PodmanImage, PodmanImageRecord, PodmanStore } from "@stowage/store";

import {
  formatPodmanLocation,
  type PodmanLocation,
  type PodmanStorePlace,
} from "./podman-location.ts";

/** How {@link openPodmanSource} opens. */
export interface PodmanSourceOptions {
  /**
   * The manifest as it is stored, whose layers can not be had: for whoever asks what it is.
   *
   * @defaultValue false
   */
  readonly asStored?: boolean | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

/** An image of a store of podman's. */
export interface PodmanSource extends CopySource {
  /** The digest of the manifest that podman has, where that of the copy is another. */
  readonly rewrittenFrom: Digest | undefined;
  readonly found: FoundPodmanImage;
}

/** Where an image was found. */
export interface FoundPodmanImage {
  readonly driver: string;
  /** Of the store that was asked, not of a further one. */
  readonly graphRoot: string;
  /** 64 hex digits. */
  readonly id: string;
  /** Of all manifests that it is kept with. */
  readonly digests: readonly Digest[];
}

/**
 * Opens an image of podman's store.
 *
 * @throws {@link @stowage/registry#RegistryError} `ERR_REGISTRY_INVALID_CONFIG` for `storage.conf`;
 *   {@link @stowage/store#StoreError} as `openPodmanStore` and `openImage` do;
 *   `ERR_STORE_IMAGE_NOT_FOUND`, `ERR_STORE_AMBIGUOUS_ID`; `ERR_STORE_CORRUPT` where manifest,
 *   config and layers do not belong together.
 */
export async function openPodmanSource(
  location: PodmanLocation,
  { asStored = false, env, signal }: PodmanSourceOptions,
): Promise<PodmanSource> {
  const { openPodmanStore } = await import("@stowage/store");
  const store = await openPodmanStore({ ...(await storeOf(location, env)), signal });
  try {
    const record = await findImage(store, location);
    const image = await store.openImage(record, { signal });
    const stored = await readStored(image, location);
    const root = asStored ? stored : await rewrite(image, stored);
    const isSame = root.descriptor.digest === stored.descriptor.digest;
    return {
      name: formatPodmanLocation(location),
      rewrittenFrom: isSame ? undefined : stored.descriptor.digest,
      found: {
        driver: store.driver,
        graphRoot: store.graphRoot,
        id: record.id,
        digests: record.digests,
      },
      fetchRoot: async () => root,
      async fetchManifest({ digest }) {
        if (digest === root.descriptor.digest) return root;
        throw notThere(digest, location);
      },
      openContent: (descriptor, options) => openContent(image, descriptor, location, options),
      async *referrers() {},
      async findTag() {
        return undefined;
      },
      // They are of the manifest that they were made for.
      signatureFiles: async (digest) => [...(await image.readSignatures(digest))],
      [Symbol.asyncDispose]: async () => store[Symbol.dispose](),
    };
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

/**
 * The store that is named, or that podman uses unless told.
 *
 * @throws {@link @stowage/registry#RegistryError} `ERR_REGISTRY_INVALID_CONFIG`
 */
export async function storeOf(
  { store }: Pick<PodmanLocation, "store">,
  env: PodmanSourceOptions["env"],
): Promise<PodmanStorePlace> {
  if (store !== undefined) return store;
  const { loadStorageConf } = await import("@stowage/registry");
  const { driver, graphRoot, imageStores } = await loadStorageConf({ env });
  return { graphRoot, imageStores, ...(driver !== undefined && { driver }) };
}

async function findImage(
  { images, graphRoot }: PodmanStore,
  { image }: PodmanLocation,
): Promise<PodmanImageRecord> {
  const { StoreError } = await import("@stowage/store");
  const { id, reference, isEither = false } = image;
  const byID = id === undefined ? [] : images.filter((one) => one.id.startsWith(id));
  const count = new Set(byID.map((one) => one.id)).size;
  if (count > 1) {
    throw new StoreError("ERR_STORE_AMBIGUOUS_ID", `${id}: ${count} images begin so`, {
      hint: "Give more digits.",
    });
  }
  const candidates = id === undefined || (isEither && count === 0) ? images : byID;
  const isByName = reference !== undefined && !(isEither && count > 0);
  const found = candidates.find((one) => !isByName || isNamed(one, reference));
  if (found !== undefined) return found;
  const name = reference === undefined ? id : formatReference(reference);
  throw new StoreError("ERR_STORE_IMAGE_NOT_FOUND", `podman has no image ${name} at ${graphRoot}`, {
    hint: "Write its name in full, or its ID, as podman images tells them.",
  });
}

function isNamed({ names, digests }: PodmanImageRecord, reference: Reference): boolean {
  if (reference.digest === undefined) return names.includes(formatReference(reference));
  const repository = formatRepository(reference.repository);
  const isOwn = names.some((name) => [":", "@"].some((end) => name.startsWith(repository + end)));
  return isOwn && digests.includes(reference.digest);
}

/** The manifest that is meant, as podman has it. */
async function readStored(image: PodmanImage, location: PodmanLocation): Promise<FetchedManifest> {
  const digest = location.image.reference?.digest;
  const bytes = digest === undefined ? image.manifest : await image.readDocument(digest);
  if (bytes === undefined || digest === undefined) return parseManifest(image.manifest);
  return parseManifest(bytes, undefined, digest);
}

/** The manifest for the layers as they come out: as it was, if they never were packed. */
async function rewrite(image: PodmanImage, stored: FetchedManifest): Promise<FetchedManifest> {
  const { document, bytes } = stored;
  if (document.kind === "index") {
    throw await unfit(image, "what is stored is an index; name the image by its ID, or its digest");
  }
  const { config, layers } = document.manifest;
  const diffIDs = await readDiffIDs(image, config);
  const isFit = layers.length === image.layers.length && diffIDs.length === image.layers.length;
  const wrong = image.layers.find(({ diffID }, at) => diffID !== diffIDs[at]);
  if (!isFit || wrong !== undefined) {
    throw await unfit(image, "its manifest, its config and its layers are not of one image");
  }
  const isSame = layers.every(({ digest, size }, at) => {
    const layer = image.layers[at];
    return layer?.diffID === digest && layer.size === size;
  });
  if (isSame) return stored;
  const isDocker = stored.descriptor.mediaType === MEDIA_TYPE.dockerManifest;
  const mediaType = isDocker ? MEDIA_TYPE.dockerLayerTar : MEDIA_TYPE.layerTar;
  const json = parseJsonDocument(bytes) as Readonly<Record<string, JsonValue>>;
  // What else a descriptor says, as where a table of contents is, is of the packed layer.
  const unpacked = image.layers.map(({ diffID: digest, size }) => ({ mediaType, digest, size }));
  const text = JSON.stringify({ ...json, layers: unpacked });
  return parseManifest(Buffer.from(text), stored.descriptor.mediaType);
}

async function readDiffIDs(image: PodmanImage, config: Descriptor): Promise<readonly Digest[]> {
  const bytes = await image.readDocument(config.digest);
  if (bytes === undefined) throw await unfit(image, "its config is not there");
  if (!isImageConfigMediaType(config.mediaType)) return [];
  return parseImageConfig(bytes).rootfs.diff_ids;
}

async function* openContent(
  image: PodmanImage,
  { digest }: Descriptor,
  location: PodmanLocation,
  { offset = 0, signal }: OpenContentOptions = {},
): ByteSource {
  const layer = image.layers.find(({ diffID }) => diffID === digest);
  const bytes = layer === undefined ? await image.readDocument(digest, { signal }) : undefined;
  if (layer !== undefined) yield* skip(image.openLayer(layer, { signal }), offset);
  else if (bytes !== undefined) yield bytes.subarray(offset);
  else throw notThere(digest, location);
}

async function* skip(source: ByteSource, count: number): ByteSource {
  let left = count;
  for await (const chunk of source) {
    if (left < chunk.byteLength) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(left - chunk.byteLength, 0);
  }
}

function notThere(digest: Digest, location: PodmanLocation): ContentError {
  const message = `${digest}: not in ${formatPodmanLocation(location)}`;
  return new ContentError("ERR_CONTENT_NOT_FOUND", message);
}

async function unfit({ record }: PodmanImage, what: string): Promise<Error> {
  const { StoreError } = await import("@stowage/store");
  return new StoreError("ERR_STORE_CORRUPT", `image ${record.id} of podman: ${what}`);
}
