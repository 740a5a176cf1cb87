import type { Descriptor, DiffID, JsonValue } from "@stowage/content";

import type { LayerID } from "./layer-id.ts";
import { RecordShape } from "./record-shape.ts";

/** What is kept about an unpacked layer, in its `layer.json`. */
export interface LayerRecord {
  readonly version: 1;
  readonly id: LayerID;
  /** The layer below; none at the bottom. */
  readonly parent?: LayerID;
  readonly diffID: DiffID;
  /** What it was unpacked from. */
  readonly blob: Descriptor;
  /** Bytes of the uncompressed archive. */
  readonly diffSize: number;
  /** Entries of the archive. */
  readonly entries: number;
  /** Whether it hides all that lies below it, so that a mount stops here. */
  readonly isRootOpaque?: boolean;
  /** When it was stored. */
  readonly created: string;
}

const FIELDS = [
  "version",
  "id",
  "parent",
  "diffID",
  "blob",
  "diffSize",
  "entries",
  "isRootOpaque",
  "created",
];

/** @throws TypeError Saying which field is wrong. */
export function parseLayerRecord(value: JsonValue): LayerRecord {
  const shape = new RecordShape(value, "layer", FIELDS);
  shape.version(1);
  return {
    version: 1,
    id: shape.layerID("id"),
    ...(shape.has("parent") && { parent: shape.layerID("parent") }),
    diffID: shape.digest("diffID"),
    blob: shape.descriptor("blob"),
    diffSize: shape.count("diffSize"),
    entries: shape.count("entries"),
    ...(shape.has("isRootOpaque") && { isRootOpaque: shape.boolean("isRootOpaque") }),
    created: shape.time("created"),
  };
}
