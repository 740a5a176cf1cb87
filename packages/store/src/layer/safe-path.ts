/**
 * Names of entries, one character for each byte, made safe to walk one component after another.
 *
 * @module
 */
import { StoreError } from "../store-error.ts";
import type { LayerLimits } from "./layer-limits.ts";

/** A cleaned path: its components joined by slashes, none empty, none a dot or two. */
export interface SafePath {
  /** Empty for the root. */
  readonly directory: string;
  /** The last component; empty for the root itself. */
  readonly name: string;
}

const WHITEOUT_PREFIX = ".wh.";
const WHITEOUT_META_PREFIX = ".wh..wh.";

/**
 * Cleans a name: slashes at either end, doubled slashes and `.` mean nothing, and `..` takes one
 * component back. Symbolic links play no part in it.
 *
 * @throws {@link StoreError} `ERR_STORE_LAYER_ESCAPE` when `..` would leave the root;
 *   `ERR_STORE_INVALID_LAYER` when the path or a component is too long, has a NUL byte, or goes
 *   through a whiteout.
 */
export function cleanPath(raw: string, limits: LayerLimits): SafePath {
  if (raw.length > limits.maxPathBytes) {
    throw invalid(`a path over ${limits.maxPathBytes} bytes`);
  }
  const path = isClean(raw) ? raw : joinComponents(raw);
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  checkComponents(path, limits);
  return { directory: slash < 0 ? "" : path.slice(0, slash), name };
}

/** Whether an entry lies in a directory of AUFS's own, which layers do not show. */
export function isInWhiteoutMeta(path: SafePath): boolean {
  const { directory } = path;
  if (!directory.includes(WHITEOUT_META_PREFIX)) return false;
  return directory.split("/").some((component) => component.startsWith(WHITEOUT_META_PREFIX));
}

/** Whether a cleaned path has more components than it may. */
export function isTooDeep(path: string, maxDepth: number): boolean {
  return path.length >= 2 * maxDepth && path.split("/").length > maxDepth;
}

function isClean(text: string): boolean {
  return !/^\.{0,2}\/|\/\/|\/\.{1,2}(?:\/|$)|\/$|^\.{1,2}$/.test(text);
}

function joinComponents(text: string): string {
  const kept: string[] = [];
  for (const component of text.split("/")) {
    if (component === "" || component === ".") continue;
    if (component !== "..") {
      kept.push(component);
      continue;
    }
    const left = kept.pop();
    if (left === undefined) {
      throw new StoreError("ERR_STORE_LAYER_ESCAPE", "a path that leaves the layer by ..");
    }
    if (left.startsWith(WHITEOUT_PREFIX)) throw invalid("a path through a whiteout");
  }
  return kept.join("/");
}

function checkComponents(path: string, limits: LayerLimits): void {
  if (path.includes("\0")) throw invalid("a path with a NUL byte");
  if (isTooDeep(path, limits.maxDepth)) {
    throw invalid(`a path of more than ${limits.maxDepth} components`);
  }
  if (path.length <= limits.maxNameBytes && !path.includes(WHITEOUT_PREFIX)) return;
  const components = path.split("/");
  for (const [index, component] of components.entries()) {
    if (component.length > limits.maxNameBytes) {
      throw invalid(`a name over ${limits.maxNameBytes} bytes`);
    }
    const isLast = index === components.length - 1;
    const isWhiteout =
      component.startsWith(WHITEOUT_PREFIX) && !component.startsWith(WHITEOUT_META_PREFIX);
    if (!isLast && isWhiteout) throw invalid("a path through a whiteout");
  }
}

function invalid(message: string): StoreError {
  return new StoreError("ERR_STORE_INVALID_LAYER", message);
}
