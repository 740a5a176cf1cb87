/**
 * The boundaries of the commit protocol by the names that they have where it is written down. A step
 * of a run is what a failpoint compiled into the store would be, and costs the store nothing.
 *
 * @module
 */
import type { Step } from "./step-tracer.ts";

const HEX = "[0-9a-f]";

/** Each matches a call and its path below the root. */
const BOUNDARIES = {
  "blob.write": `p?write(64)? /ingest/${HEX}{64}/data`,
  "blob.fsync": `fsync /ingest/${HEX}{64}/data`,
  "blob.rename": `rename /blobs/sha256/${HEX}{64}`,
  "blob.dirsync": "fsync /blobs/sha256",
  "layer.unpack": `(mkdirat|openat|symlinkat|linkat) /staging/${HEX}{32}/diff/.*`,
  "layer.record": `fsync /staging/${HEX}{32}/layer.json`,
  "layer.syncfs": `syncfs /staging/${HEX}{32}`,
  "layer.rename": `renameat2 /layers/${HEX}{64}`,
  "layer.dirsync": "fsync /layers",
  "image.record": `renameat2 /images/${HEX}{64}`,
  "image.dirsync": "fsync /images",
  "tag.record": `rename /names/${HEX}{64}.json`,
  "tag.dirsync": "fsync /names",
  "gc.trash": `renameat2 /trash/${HEX}{32}`,
  "gc.delete": `unlinkat /trash/${HEX}{32}.*`,
} as const;

export type Boundary = keyof typeof BOUNDARIES;

export const BOUNDARY_NAMES: readonly Boundary[] = Object.keys(BOUNDARIES) as Boundary[];

/** The boundary that a step is at, of a store whose root is `root`. */
export function boundaryOf({ call, path }: Step, root: string): Boundary | undefined {
  const text = `${call} ${path.startsWith(root) ? path.slice(root.length) : path}`;
  return BOUNDARY_NAMES.find((name) => new RegExp(`^${BOUNDARIES[name]}$`).test(text));
}
