/** The hard caps on what one layer may hold. */
export interface LayerLimits {
  readonly maxEntries: number;
  /** Of a whole path, the store's own directory included. */
  readonly maxPathBytes: number;
  readonly maxNameBytes: number;
  /** Components of a path. */
  readonly maxDepth: number;
  /** Of one extended header, and of one GNU long name. */
  readonly maxHeaderBytes: number;
  readonly maxXattrs: number;
  /** Of the names and values of all attributes of one entry. */
  readonly maxXattrBytes: number;
  /** Of the uncompressed archive. */
  readonly maxBytes: number;
  readonly maxFrames: number;
  /** What the file system has left for the layer. */
  readonly freeBytes: number;
}

/** The defaults; the path, name and attribute caps are the kernel's own. */
export const DEFAULT_LAYER_LIMITS: LayerLimits = {
  maxEntries: 2_000_000,
  maxPathBytes: 4096,
  maxNameBytes: 255,
  maxDepth: 1024,
  maxHeaderBytes: 1024 * 1024,
  maxXattrs: 64,
  maxXattrBytes: 64 * 1024,
  maxBytes: 64 * 1024 ** 3,
  maxFrames: 1_000_000,
  freeBytes: Infinity,
};
