import type { JsonValue } from "@stowage/content";

import type { ImageID } from "./image-record.ts";
import type { LayerID } from "./layer-id.ts";
import { RecordShape } from "./record-shape.ts";

/** What is kept about a container. What its metadata means is its owner's business. */
export interface ContainerRecord {
  readonly version: 1;
  /** 64 hex digits. */
  readonly id: string;
  readonly names: readonly string[];
  readonly imageId?: ImageID;
  /** The layer that its own, writable one lies on; none where it starts empty. */
  readonly topLayer?: LayerID;
  /** Text that the store keeps and does not read. */
  readonly metadata: string;
  readonly created: string;
}

const FIELDS = ["version", "id", "names", "imageId", "topLayer", "metadata", "created"];
const ID = /^[0-9a-f]{64}$/;

/** Whether `text` is the whole ID of a container: 64 lower-case hex digits. */
export function isContainerID(text: string): boolean {
  return ID.test(text);
}

/** @throws TypeError Saying which field is wrong. */
export function parseContainerRecord(value: JsonValue): ContainerRecord {
  const shape = new RecordShape(value, "container", FIELDS);
  shape.version(1);
  const id = shape.string("id");
  if (!isContainerID(id)) throw new TypeError("container.id is not 64 hex digits");
  return {
    version: 1,
    id,
    names: shape.strings("names"),
    ...(shape.has("imageId") && { imageId: shape.digest("imageId") }),
    ...(shape.has("topLayer") && { topLayer: shape.layerID("topLayer") }),
    metadata: shape.string("metadata"),
    created: shape.time("created"),
  };
}
