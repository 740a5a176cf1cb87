/**
 * What the records say that a store has.
 *
 * @module
 */
import {
  type Descriptor,
  type Digest,
  hasErrorCode,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  parseImageConfig,
  parseManifest,
  readContent,
} from "@stowage/content";

import type { BlobStore } from "../blob-store.ts";
import { listContainers } from "../container-records.ts";
import type { ImageRecord } from "../image-record.ts";
import { listImages } from "../image-records.ts";
import type { LayerID } from "../layer-id.ts";
import { listLayers } from "../layer-store.ts";
import type { LayerPlan } from "../stage-layer.ts";
import type { StoreContext } from "../store-context.ts";
import type { WantedBlob } from "./damage.ts";

/** A layer, and who needs it. */
export interface ExpectedLayer {
  /** What it is made from; `undefined` where neither its record nor an image tells. */
  readonly plan: LayerPlan | undefined;
  readonly usedBy: readonly string[];
  readonly images: readonly ImageRecord[];
}

/** All that should be there. */
export interface ExpectedContent {
  readonly blobs: ReadonlyMap<Digest, WantedBlob>;
  readonly layers: ReadonlyMap<LayerID, ExpectedLayer>;
}

export async function readExpectedContent(
  context: StoreContext,
  blobs: BlobStore,
): Promise<ExpectedContent> {
  const images = (await listImages(context)).records;
  const layers = await expectedLayers(context, blobs, images);
  const wanted = new Map<Digest, { descriptor: Descriptor; images: Set<ImageRecord> }>();
  const want = (descriptor: Descriptor, users: readonly ImageRecord[]): void => {
    const known = wanted.get(descriptor.digest) ?? { descriptor, images: new Set() };
    for (const image of users) known.images.add(image);
    wanted.set(descriptor.digest, known);
  };
  for (const image of images) {
    want(image.config, [image]);
    for (const { manifest, index, signatures } of image.manifests) {
      want(manifest, [image]);
      if (index !== undefined) want(index, [image]);
      if (signatures !== undefined) want(signatures, [image]);
    }
  }
  for (const { plan, images: users } of layers.values()) if (plan) want(plan.blob, users);
  return { blobs: new Map([...wanted].map(([digest, blob]) => [digest, asWanted(blob)])), layers };
}

function asWanted(blob: {
  readonly descriptor: Descriptor;
  readonly images: ReadonlySet<ImageRecord>;
}): WantedBlob {
  const images = [...blob.images];
  const repositories = images.flatMap(({ manifests }) =>
    manifests.flatMap(({ repository }) => repository ?? []),
  );
  return {
    descriptor: blob.descriptor,
    images: images.map(({ id }) => id),
    repositories: [...new Set(repositories)],
  };
}

async function expectedLayers(
  context: StoreContext,
  blobs: BlobStore,
  images: readonly ImageRecord[],
): Promise<ReadonlyMap<LayerID, ExpectedLayer>> {
  const records = new Map((await listLayers(context)).records.map((layer) => [layer.id, layer]));
  const found = new Map<
    LayerID,
    { plan: LayerPlan | undefined; usedBy: string[]; images: ImageRecord[] }
  >();
  const expect = (id: LayerID) => {
    const known = found.get(id) ?? { plan: records.get(id), usedBy: [], images: [] };
    found.set(id, known);
    return known;
  };
  for (const id of records.keys()) expect(id);
  for (const image of images) {
    for (const id of new Set(image.layers)) {
      const layer = expect(id);
      layer.usedBy.push(`image ${image.id}`);
      layer.images.push(image);
    }
    const isUnknown = image.layers.some((id) => found.get(id)?.plan === undefined);
    if (!isUnknown) continue;
    for (const [id, plan] of await plansOfImage(blobs, image)) expect(id).plan ??= plan;
  }
  for (const { id, topLayer } of (await listContainers(context)).records) {
    if (topLayer !== undefined) expect(topLayer).usedBy.push(`container ${id}`);
  }
  return found;
}

/** How the layers of an image are made, as its config and one of its manifests tell. */
async function plansOfImage(
  blobs: BlobStore,
  image: ImageRecord,
): Promise<ReadonlyMap<LayerID, LayerPlan>> {
  const plans = new Map<LayerID, LayerPlan>();
  try {
    const bytes = await readContent(blobs, image.config, { maxBytes: MAX_CONFIG_BYTES });
    const diffIDs = parseImageConfig(bytes).rootfs.diff_ids;
    for (const { manifest } of image.manifests) {
      const { document } = parseManifest(
        await readContent(blobs, manifest, { maxBytes: MAX_MANIFEST_BYTES }),
        manifest.mediaType,
      );
      if (document.kind !== "manifest") continue;
      for (const [at, id] of image.layers.entries()) {
        const [diffID, blob] = [diffIDs[at], document.manifest.layers[at]];
        if (diffID === undefined || blob === undefined || plans.has(id)) continue;
        plans.set(id, { diffID, blob, parent: image.layers[at - 1] });
      }
    }
  } catch (error) {
    // The damaged document is reported for itself.
    if (!(error instanceof Error && "code" in error) || hasErrorCode(error, "ABORT_ERR"))
      throw error;
  }
  return plans;
}
