import type { Descriptor, Digest, JsonValue } from "@stowage/content";

import { type ImageSummary, parseImageSummary } from "./image-summary.ts";
import type { LayerID } from "./layer-id.ts";
import { RecordShape } from "./record-shape.ts";

/** Names an image: the digest of its config. */
export type ImageID = Digest;

/** Everything that is kept about an image, in one file. */
export interface ImageRecord {
  readonly version: 1;
  /** The digest of the config. */
  readonly id: ImageID;
  readonly config: Descriptor;
  /** The manifests that it came by, the latest first. */
  readonly manifests: readonly ImageManifestRecord[];
  /** Base first. */
  readonly layers: readonly LayerID[];
  /** When it was stored first. */
  readonly created: string;
  /**
   * What lists show of the config: the store writes it with the record, from the config itself. Not
   * there where that can not be read or says much.
   */
  readonly summary?: ImageSummary;
}

/** One way by which an image was found. */
export interface ImageManifestRecord {
  readonly manifest: Descriptor;
  /** The index that was asked for, and that the manifest was chosen from. */
  readonly index?: Descriptor;
  /** Where it was pulled from, as `host/path`. */
  readonly repository?: string;
  /** What the policy was shown to allow it, kept so that it can be asked again. */
  readonly signatures?: Descriptor;
}

/** @throws TypeError Saying which field is wrong. */
export function parseImageRecord(value: JsonValue): ImageRecord {
  const fields = ["version", "id", "config", "manifests", "layers", "created", "summary"];
  const shape = new RecordShape(value, "image", fields);
  shape.version(1);
  const manifests = shape.list("manifests").map(parseManifestRecord);
  if (manifests.length === 0) throw new TypeError("image.manifests is empty");
  const record: ImageRecord = {
    version: 1,
    id: shape.digest("id"),
    config: shape.descriptor("config"),
    manifests,
    layers: shape.layerIDs("layers"),
    created: shape.time("created"),
    ...(shape.has("summary") && { summary: parseImageSummary(shape.value("summary")) }),
  };
  if (record.config.digest !== record.id)
    throw new TypeError("image.id is not its config's digest");
  return record;
}

function parseManifestRecord(value: JsonValue, index: number): ImageManifestRecord {
  const fields = ["manifest", "index", "repository", "signatures"];
  const shape = new RecordShape(value, `image.manifests[${index}]`, fields);
  return {
    manifest: shape.descriptor("manifest"),
    ...(shape.has("index") && { index: shape.descriptor("index") }),
    ...(shape.has("repository") && { repository: shape.string("repository") }),
    ...(shape.has("signatures") && { signatures: shape.descriptor("signatures") }),
  };
}
