/**
 * The records of containers/storage: `layers.json` and `images.json`. Their fields are the format's.
 *
 * @module
 */
import { encodedOf } from "@stowage/content";

import type { ImageRecord } from "../image-record.ts";
import type { LayerRecord } from "../layer-record.ts";
import type { BigData } from "./big-data.ts";

/** How a layer was packed, by numbers of the format. */
const COMPRESSIONS: readonly (readonly [RegExp, number])[] = [
  [/gzip$/, 2],
  [/zstd$/, 4],
];

export function podmanLayer(layer: LayerRecord): object {
  const { blob } = layer;
  const compression = COMPRESSIONS.find(([suffix]) => suffix.test(blob.mediaType))?.[1];
  return {
    id: layer.id,
    ...(layer.parent !== undefined && { parent: layer.parent }),
    created: layer.created,
    "compressed-diff-digest": blob.digest,
    "compressed-size": blob.size,
    "diff-digest": layer.diffID,
    "diff-size": layer.diffSize,
    ...(compression !== undefined && { compression }),
  };
}

export function podmanImage(
  image: ImageRecord,
  names: readonly string[],
  items: ReadonlyMap<string, BigData>,
): object {
  const manifest = image.manifests[0]?.manifest;
  const layer = image.layers.at(-1);
  const all = [...items];
  return {
    id: encodedOf(image.id),
    ...(manifest !== undefined && { digest: manifest.digest }),
    ...(names.length > 0 && { names }),
    ...(layer !== undefined && { layer }),
    metadata: "{}",
    "big-data-names": all.map(([key]) => key),
    "big-data-sizes": Object.fromEntries(all.map(([key, { bytes }]) => [key, bytes.length])),
    "big-data-digests": Object.fromEntries(all.map(([key, { digest }]) => [key, digest])),
    created: image.created,
  };
}
