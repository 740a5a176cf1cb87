import { StoreError } from "../store-error.ts";

/** The hard caps on what images may hold. All of them count one layer, but for the last. */
export interface StoreLimits {
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
  /** Of a blob in zstd. */
  readonly maxFrames: number;
  /** Of the uncompressed archives of all layers of an image. */
  readonly maxImageBytes: number;
}

/** The caps on one layer. */
export interface LayerLimits extends StoreLimits {
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
  maxImageBytes: 256 * 1024 ** 3,
  freeBytes: Infinity,
};

/** What the kernel takes, and what is kept in memory: these may be lowered only. */
const FIXED = ["maxPathBytes", "maxNameBytes", "maxDepth", "maxXattrBytes"] as const;

/**
 * The defaults, with what differs from them.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_ARGUMENT` for what is no whole number from 1 on, or
 *   over what the kernel takes.
 */
export function storeLimits(given: Partial<StoreLimits> = {}): StoreLimits {
  const { freeBytes: _, ...defaults } = DEFAULT_LAYER_LIMITS;
  const limits: { -readonly [Name in keyof StoreLimits]: number } = { ...defaults };
  for (const name of Object.keys(limits) as (keyof StoreLimits)[]) {
    const value = given[name];
    if (value === undefined) continue;
    const most = FIXED.some((fixed) => fixed === name) ? limits[name] : Number.MAX_SAFE_INTEGER;
    if (!Number.isSafeInteger(value) || value < 1 || value > most) {
      const message = `the limit ${name} has to be a whole number from 1 to ${most}`;
      throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message);
    }
    limits[name] = value;
  }
  return limits;
}
