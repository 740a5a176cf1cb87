/**
 * Names that say what a layer takes away from those below it.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
 * @module
 */
import { StoreError } from "../store-error.ts";

/** What the last component of an entry's name asks for. */
export type Whiteout =
  | { readonly type: "none" }
  /** The directory shows nothing of the layers below. */
  | { readonly type: "opaque" }
  /** Something of AUFS's own; means nothing. */
  | { readonly type: "meta" }
  /** `name` of the layers below is hidden. */
  | { readonly type: "hide"; readonly name: string };

const PREFIX = ".wh.";
const META_PREFIX = ".wh..wh.";
const OPAQUE = ".wh..wh..opq";
const NONE: Whiteout = { type: "none" };

/**
 * Reads the name of an entry, one character for each byte.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when it hides nothing, or the directory that it
 *   stands in, or the one above.
 */
export function parseWhiteout(name: string): Whiteout {
  if (!name.startsWith(PREFIX)) return NONE;
  if (name === OPAQUE) return { type: "opaque" };
  if (name.startsWith(META_PREFIX)) return { type: "meta" };
  const hidden = name.slice(PREFIX.length);
  if (hidden === "" || hidden === "." || hidden === "..") {
    throw new StoreError("ERR_STORE_INVALID_LAYER", `a whiteout of nothing: ${name}`);
  }
  return { type: "hide", name: hidden };
}
