import { type Descriptor, parseManifest, readContent } from "@stowage/content";
import type { ImageRecord, Store } from "@stowage/store";

import { hasToc, readToc } from "./blob-toc.ts";
import type { Donor } from "./plan-blob.ts";

/** A layer that may be here, and has a table of contents. */
export interface DonorLayer {
  readonly layer: Descriptor;
  /** The lower, the more likely it has what is wanted. */
  readonly rank: number;
}

const MAX_IMAGES = 64;
/** How many tables of contents are read for one blob. */
const MAX_DONORS = 8;

/** The layers with tables of contents: those of `repository` first, those that came last before. */
export async function listDonorLayers(
  store: Store,
  repository: string,
  signal: AbortSignal | undefined,
): Promise<readonly DonorLayer[]> {
  const { images } = await store.images.list();
  const isOfRepository = ({ manifests }: ImageRecord): boolean =>
    manifests.some((manifest) => manifest.repository === repository);
  const ordered = [
    ...images.filter((image) => isOfRepository(image)),
    ...images.filter((image) => !isOfRepository(image)),
  ];
  const layers = new Map<string, DonorLayer>();
  for (const [rank, image] of ordered.slice(0, MAX_IMAGES).entries()) {
    for (const layer of await layersOf(store, image, signal)) {
      if (hasToc(layer) && !layers.has(layer.digest)) layers.set(layer.digest, { layer, rank });
    }
  }
  return [...layers.values()];
}

async function layersOf(
  store: Store,
  { manifests }: ImageRecord,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[]> {
  const layers: Descriptor[] = [];
  for (const { manifest } of manifests) {
    try {
      const bytes = await readContent(store.blobs, manifest, { signal });
      const { document } = parseManifest(bytes, manifest.mediaType);
      if (document.kind === "manifest") layers.push(...document.manifest.layers);
    } catch {
      // It is damaged, which a check tells. There is nothing to be had of it.
      signal?.throwIfAborted();
    }
  }
  return layers;
}

/** Reads what is in those of the layers that are most likely to have what `wanted` has. */
export async function* readDonors(
  store: Store,
  layers: readonly DonorLayer[],
  wanted: Descriptor,
  signal: AbortSignal | undefined,
): AsyncGenerator<Donor, void, undefined> {
  const unlikeness = ({ layer }: DonorLayer): number =>
    Math.abs(Math.log(layer.size / wanted.size));
  const ordered = layers.toSorted(
    (one, other) => one.rank - other.rank || unlikeness(one) - unlikeness(other),
  );
  let left = MAX_DONORS;
  for (const { layer } of ordered) {
    if (left === 0) return;
    if ((await store.blobs.stat(layer.digest))?.size !== layer.size) continue;
    left -= 1;
    try {
      const read = async (offset: number): Promise<Buffer> =>
        Buffer.concat(await Array.fromAsync(store.blobs.openContent(layer, { offset, signal })));
      yield { digest: layer.digest, segments: (await readToc(layer, read)).segments };
    } catch {
      // Whatever is wrong with it, there are others, and the registry.
      signal?.throwIfAborted();
    }
  }
}
