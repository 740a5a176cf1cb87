import {
  type Digest,
  hasErrorCode,
  MAX_CONFIG_BYTES,
  parseImageConfig,
  type Platform,
  readContent,
} from "@stowage/content";
import type { Reference } from "@stowage/reference";
import {
  type ImageRecord,
  type ImageSummary,
  type LayerID,
  type LayerRecord,
  type Store,
  summarizeConfig,
} from "@stowage/store";

import { type FoundImage, findImage } from "./find-image.ts";
import { ImageError } from "./image-error.ts";
import { canonicalNames, readNames, repoDigests, tagNames } from "./image-names.ts";
import { type ImageUser, imageUser } from "./image-user.ts";
import type { PinnedMatcher } from "./pinned-images.ts";
import { quoteName } from "./quote-name.ts";
import { findLayers } from "./unpack-layers.ts";

/** What is known of an image in the store. */
export interface ImageStatus {
  /** The digest of the config. */
  readonly id: Digest;
  /** All names, the latest first. */
  readonly names: readonly string[];
  /** The names that are tags, sorted. */
  readonly tags: readonly string[];
  /** Each repository of the names with each digest of the image, sorted. */
  readonly digests: readonly string[];
  /**
   * `repository@digest` of the manifest: exactly this image, for ever. An image that has lost all
   * its names tells where it was pulled from.
   */
  readonly canonical?: string;
  /** The same with the digest of the index that was asked for. */
  readonly indexCanonical?: string;
  /** Bytes: manifests, config and uncompressed layers, each counted once. */
  readonly size: number;
  /** When the image was made, as its config says it; absent if that is no time. */
  readonly created?: string;
  readonly user: ImageUser;
  readonly labels: Readonly<Record<string, string>>;
  /** What the config says; `unknown` where it says nothing. */
  readonly platform: Platform;
  /** Whether a pattern keeps it from garbage collectors. */
  readonly pinned: boolean;
}

/** What the answers about images need. */
export interface StatusContext {
  readonly store: Store;
  readonly platform: Platform;
  readonly isPinned: PinnedMatcher;
  readonly onWarning: (warning: ImageWarning) => void;
}

/** Something in the store that is damaged, and was left out or left blank. */
export interface ImageWarning {
  readonly message: string;
  readonly cause?: unknown;
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;

/** Tells about the image that `text` names; `undefined` if there is none. */
export async function imageStatus(
  context: StatusContext,
  text: string,
): Promise<ImageStatus | undefined> {
  const found = await findImage(context.store, text, context.platform);
  return found && (await statusOf(context, found.record, found.asked));
}

/** @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND` */
export async function requireFound(context: StatusContext, text: string): Promise<FoundImage> {
  const found = await findImage(context.store, text, context.platform);
  if (found !== undefined) return found;
  throw new ImageError("ERR_IMAGE_NOT_FOUND", `${quoteName(text)}: no such image here`);
}

/** What has been read already: that of the config which its record has is enough, then. */
export interface KnownParts {
  /** All names of the image. */
  readonly names: readonly string[];
  /** Layers of any image; those that are looked up are added. */
  readonly layers: Map<LayerID, LayerRecord>;
}

/** Tells about one image, as seen from the name that led to it. */
export async function statusOf(
  context: StatusContext,
  record: ImageRecord,
  asked?: Reference,
  known?: KnownParts,
): Promise<ImageStatus> {
  const { store, onWarning } = context;
  const { id } = record;
  const names = readNames(known?.names ?? (await store.images.namesOf(id)));
  for (const name of names.unreadable) {
    onWarning({ message: `${id}: ${quoteName(name)} is no full name, and is left out` });
  }
  const summary = (known && record.summary) ?? (await readSummary(context, record));
  const { created } = summary;
  return {
    id,
    names: names.all,
    tags: tagNames(names),
    digests: repoDigests(names, record),
    ...canonicalNames(names, record, asked),
    size: await sizeOf(context, record, known?.layers),
    ...(created && TIME.test(created) && !Number.isNaN(Date.parse(created)) && { created }),
    user: imageUser(summary.user),
    labels: summary.labels ?? {},
    platform: platformOf(summary),
    pinned: context.isPinned(names.all),
  };
}

async function readSummary(
  { store, onWarning }: StatusContext,
  { id, config }: ImageRecord,
): Promise<ImageSummary> {
  try {
    const bytes = await readContent(store.blobs, config, { maxBytes: MAX_CONFIG_BYTES });
    return summarizeConfig(parseImageConfig(bytes));
  } catch (cause) {
    onWarning({ message: `${id}: its config can not be read; pull the image again`, cause });
    return {};
  }
}

async function sizeOf(
  { store, onWarning }: StatusContext,
  record: ImageRecord,
  known = new Map<LayerID, LayerRecord>(),
): Promise<number> {
  const blobs = new Map<Digest, number>([[record.config.digest, record.config.size]]);
  for (const { manifest, index } of record.manifests) {
    blobs.set(manifest.digest, manifest.size);
    if (index) blobs.set(index.digest, index.size);
  }
  const own = new Set(record.layers);
  const missing = [...own].filter((id) => !known.has(id));
  for (const [id, layer] of await findLayers(store, missing)) known.set(id, layer);
  const unknown = [...own].filter((id) => !known.has(id));
  if (unknown.length > 0 && (await isStored(store, record.id))) {
    const what = unknown.length === 1 ? `layer ${unknown[0]}` : `${unknown.length} layers`;
    onWarning({
      message: `${record.id}: is larger than is shown: the record of ${what} is damaged or missing; pull the image again`,
    });
  }
  const sizes = [...blobs.values(), ...[...own].map((id) => known.get(id)?.diffSize ?? 0)];
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** An image that is removed meanwhile has lost its layers, and no harm was done. */
async function isStored(store: Store, id: Digest): Promise<boolean> {
  try {
    return (await store.images.find(id)) !== undefined;
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return true;
    throw error;
  }
}

function platformOf({ os, architecture, variant }: ImageSummary): Platform {
  return {
    os: os || "unknown",
    architecture: architecture || "unknown",
    ...(variant && { variant }),
  };
}
