import {
  type Descriptor,
  type DiffID,
  type ImageConfig,
  type ImageManifest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  parseImageConfig,
  parseManifest,
  readContent,
} from "@stowage/content";
import { formatRepository } from "@stowage/reference";
import { asContentDamage, type LayerID, type Store } from "@stowage/store";

import { chooseManifest } from "./image-names.ts";
import { ImageError } from "./image-error.ts";
import { quoteName } from "./quote-name.ts";
import { type ImageStatus, requireFound, type StatusContext, statusOf } from "./image-status.ts";

/** Everything about an image. */
export interface InspectedImage extends ImageStatus {
  readonly manifest: ImageManifest;
  /** Names the manifest's bytes in the store. */
  readonly manifestDescriptor: Descriptor;
  readonly config: ImageConfig;
  /** Base first. */
  readonly layers: readonly InspectedLayer[];
  /** What a container of the image lies on; an image without layers has none. */
  readonly topLayer?: LayerID;
}

/** One layer, packed and unpacked. */
export interface InspectedLayer {
  readonly id: LayerID;
  readonly diffID: DiffID;
  /** As the manifest names it. */
  readonly blob: Descriptor;
}

/**
 * Reads the documents of an image from the store, verified.
 *
 * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`; what is damaged is an error here.
 */
export async function inspectImage(context: StatusContext, text: string): Promise<InspectedImage> {
  const { store } = context;
  const { record, asked } = await requireFound(context, text);
  const status = await statusOf(context, record, asked);
  const repository = asked && formatRepository(asked.repository);
  const way = chooseManifest(record, repository, asked?.digest);
  if (way === undefined) {
    throw new ImageError("ERR_IMAGE_NOT_FOUND", `${record.id}: has no manifest`);
  }
  const manifestBytes = await readPart(
    store,
    way.manifest,
    `${quoteName(text)}: its manifest`,
    MAX_MANIFEST_BYTES,
  );
  const { document } = parseManifest(manifestBytes, way.manifest.mediaType);
  if (document.kind === "index") {
    throw new ImageError("ERR_IMAGE_NESTED_INDEX", `${way.manifest.digest}: is an index`);
  }
  const { manifest } = document;
  const config = parseImageConfig(
    await readPart(store, record.config, `${quoteName(text)}: its config`, MAX_CONFIG_BYTES),
  );
  const topLayer = record.layers.at(-1);
  return {
    ...status,
    manifest,
    manifestDescriptor: way.manifest,
    config,
    layers: record.layers.map((id, index) => ({
      id,
      diffID: config.rootfs.diff_ids[index] as DiffID,
      blob: manifest.layers[index] as Descriptor,
    })),
    ...(topLayer && { topLayer }),
  };
}

async function readPart(
  store: Store,
  descriptor: Descriptor,
  subject: string,
  maxBytes: number,
): Promise<Uint8Array> {
  try {
    return await readContent(store.blobs, descriptor, { maxBytes });
  } catch (error) {
    throw asContentDamage(error, subject);
  }
}
