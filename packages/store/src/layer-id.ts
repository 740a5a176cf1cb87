import { createHash } from "node:crypto";

import { type DiffID, encodedOf, escapeText } from "@stowage/content";

import { StoreError } from "./store-error.ts";

declare const layerIDBrand: unique symbol;

/** Names an unpacked layer and all below it: 64 hex digits, as containers/storage makes them. */
export type LayerID = string & { readonly [layerIDBrand]: true };

const SHAPE = /^[0-9a-f]{64}$/;

/** @throws {@link StoreError} `ERR_STORE_INVALID_ARGUMENT` unless it is 64 lower-case hex digits. */
export function parseLayerID(text: string): LayerID {
  if (!isLayerID(text)) {
    throw new StoreError(
      "ERR_STORE_INVALID_ARGUMENT",
      `"${escapeText(text, 80)}" is not a layer ID: it takes 64 lower-case hex digits`,
    );
  }
  return text;
}

/** Whether {@link parseLayerID} would accept `text`. */
export function isLayerID(text: string): text is LayerID {
  return SHAPE.test(text);
}

/** The ID of a layer that lies on `parent`, or at the bottom. */
export function layerIDOf(diffID: DiffID, parent?: LayerID): LayerID {
  const hex = encodedOf(diffID);
  if (parent === undefined && SHAPE.test(hex)) return hex as LayerID;
  const text = parent === undefined ? diffID : `${parent}+${hex}`;
  return createHash("sha256").update(text).digest("hex") as LayerID;
}

/** The ID of each layer of a stack, base first. */
export function layerIDs(diffIDs: readonly DiffID[]): readonly LayerID[] {
  const ids: LayerID[] = [];
  for (const diffID of diffIDs) ids.push(layerIDOf(diffID, ids.at(-1)));
  return ids;
}
