import {
  asVerified,
  type ByteSource,
  type Descriptor,
  type Digest,
  type FetchedManifest,
  type OpenContentOptions,
  parseManifest,
  readContent,
  verifyContent,
} from "@stowage/content";
import type { ImageStatus } from "@stowage/image-service";
import type { CopySource } from "@stowage/registry";
import { parseReference, parseRepository } from "@stowage/reference";
import { asContentDamage, type ImageManifestRecord, type Store } from "@stowage/store";

import type { Runtime } from "../runtime.ts";

/** How {@link openStoreSource} opens. */
export interface StoreSourceOptions {
  /** Whether the index that an image was chosen from is wanted, with what the store has of it. */
  readonly withIndex: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An image of the store, with the bytes as they were pulled: its manifest, or the index where that
 * is what the name's digest is of. The image is noted as used, and until this is disposed of nothing
 * of it is collected.
 *
 * @throws {@link @stowage/image-service#ImageError} `ERR_IMAGE_NOT_FOUND`
 */
export async function openStoreSource(
  { store, images }: Pick<Runtime, "images" | "store">,
  image: string,
  { withIndex, signal }: StoreSourceOptions,
): Promise<CopySource> {
  // While it is found out what is to be kept, all is.
  await using _everything = await store.createLease({ signal });
  const status = await images.requireImage(image, { signal });
  const record = await store.images.get(status.id);
  store.images.noteUse(status.id);
  const way = chooseWay(record.manifests, status);
  const asksIndex = way.index !== undefined && way.index.digest === digestIn(image);
  const root = (withIndex || asksIndex ? way.index : undefined) ?? way.manifest;
  const openContent: CopySource["openContent"] = (descriptor, wait) =>
    openWhole(store, descriptor, wait, image);
  const fetch = async (
    { digest, mediaType, size }: Descriptor,
    wait: WaitOptions = {},
  ): Promise<FetchedManifest> => {
    const provider = { openContent };
    const bytes = await readContent(provider, { digest, mediaType, size }, wait);
    return parseManifest(bytes, mediaType, digest);
  };
  const hasContent = async ({ digest }: Descriptor, wait?: WaitOptions): Promise<boolean> =>
    (await store.blobs.stat(digest, wait)) !== undefined;
  const blobs = await listBlobs(root, { fetch, hasContent, signal });
  const lease = await store.createLease({ blobs, signal });
  return {
    name: `store:${image}`,
    ...(way.repository !== undefined && { repository: parseRepository(way.repository) }),
    fetchRoot: (wait) => fetch(root, wait),
    fetchManifest: fetch,
    hasContent,
    openContent,
    async *referrers() {},
    async findTag() {
      return undefined;
    },
    [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
  };
}

/** A blob from its beginning is verified here, so that what is wrong with it is told of the store. */
function openWhole(
  { blobs }: Pick<Store, "blobs">,
  descriptor: Descriptor,
  options: OpenContentOptions | undefined,
  image: string,
): ByteSource {
  const source = blobs.openContent(descriptor, options);
  if ((options?.offset ?? 0) > 0) return source;
  return asVerified(tellDamage(verifyContent(source, descriptor), image), descriptor);
}

async function* tellDamage(
  content: ByteSource,
  image: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* content;
  } catch (error) {
    throw asContentDamage(error, `${image}: a blob of it`);
  }
}

interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

/** All that is here of a manifest or index, and of what it names. */
async function listBlobs(
  root: Descriptor,
  store: WaitOptions & {
    readonly fetch: (descriptor: Descriptor, wait: WaitOptions) => Promise<FetchedManifest>;
    readonly hasContent: (descriptor: Descriptor, wait: WaitOptions) => Promise<boolean>;
  },
): Promise<readonly Digest[]> {
  const { fetch, hasContent, signal } = store;
  const found = new Set<Digest>();
  // A Map's iteration comes upon what is added meanwhile.
  const manifests = new Map([[root.digest, root]]);
  for (const manifest of manifests.values()) {
    const isHere = manifest === root || (await hasContent(manifest, { signal }));
    if (!isHere) continue;
    found.add(manifest.digest);
    const { document } = await fetch(manifest, { signal });
    if (document.kind === "index") {
      for (const entry of document.index.manifests) {
        if (!manifests.has(entry.digest)) manifests.set(entry.digest, entry);
      }
    } else {
      const { config, layers } = document.manifest;
      for (const { digest } of [config, ...layers]) found.add(digest);
    }
  }
  return [...found];
}

/** The one that the image's canonical names are of. */
function chooseWay(
  ways: readonly ImageManifestRecord[],
  { canonical, indexCanonical }: ImageStatus,
): ImageManifestRecord {
  const manifest = digestIn(canonical);
  const index = digestIn(indexCanonical);
  const same = ways.filter((way) => way.manifest.digest === manifest);
  const found = same.find((way) => way.index?.digest === index) ?? same[0] ?? ways[0];
  // A record has at least one; the store sees to that.
  return found as ImageManifestRecord;
}

function digestIn(name: string | undefined): Digest | undefined {
  try {
    return name === undefined ? undefined : parseReference(name).digest;
  } catch {
    // An ID is no reference.
    return undefined;
  }
}
