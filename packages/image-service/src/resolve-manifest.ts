import {
  ContentError,
  algorithmOf,
  type Descriptor,
  type Digest,
  digestOf,
  escapeText,
  type FetchedManifest,
  type ImageIndex,
  type ImageManifest,
  isImageConfigMediaType,
  isLayerMediaType,
  type Platform,
  selectManifest,
} from "@stowage/content";
import { DEFAULT_TAG, parseTag, type Reference, type Tag } from "@stowage/reference";

import { ImageError } from "./image-error.ts";
import type { OpenedImage } from "./ports.ts";

/** What a reference stands for right now, on one platform. */
export interface ResolvedManifest {
  readonly manifest: ImageManifest;
  /** The manifest's own descriptor and bytes. */
  readonly fetched: FetchedManifest;
  /** The index that was asked for, if it was one. */
  readonly index?: FetchedManifest;
  /** What the index says that the manifest is for. */
  readonly platform?: Platform;
}

/** How {@link resolveManifest} chooses. */
export interface ResolveManifestOptions {
  readonly platform: Platform;
  readonly requireTagMatch?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** As many layers as an overlay mount takes. */
const MAX_LAYERS = 500;

/**
 * Asks for the manifest of `reference`, and through an index for the one that serves the platform.
 *
 * @throws {@link ImageError} `ERR_IMAGE_TAG_MISMATCH`, `ERR_IMAGE_DIGEST_MISMATCH`,
 *   `ERR_IMAGE_NESTED_INDEX`; what the registry and the parser throw comes through.
 */
export async function resolveManifest(
  opened: OpenedImage,
  reference: Reference,
  options: ResolveManifestOptions,
): Promise<ResolvedManifest> {
  const { platform, signal } = options;
  const { tag, digest } = reference;
  const target = digest ?? tag ?? parseTag(DEFAULT_TAG);
  const top = await fetchVerified(opened, target, digest, signal);
  if (options.requireTagMatch && tag !== undefined && digest !== undefined) {
    await requireTag(opened, tag, digest, signal);
  }
  if (top.document.kind === "manifest") return { manifest: top.document.manifest, fetched: top };
  const entry = selectManifest(top.document.index, platform);
  const fetched = await fetchVerified(opened, entry.digest, entry.digest, signal);
  if (fetched.document.kind === "index") {
    throw new ImageError("ERR_IMAGE_NESTED_INDEX", `${entry.digest}: an index in an index`);
  }
  requireEntry(fetched, entry);
  return {
    manifest: fetched.document.manifest,
    fetched,
    index: top,
    ...(entry.platform && { platform: entry.platform }),
  };
}

/**
 * Refuses what could never be unpacked and mounted, before anything of it is downloaded.
 *
 * @throws {@link ImageError} `ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE`, `ERR_IMAGE_UNSUPPORTED_DIGEST`,
 *   `ERR_IMAGE_TOO_LARGE`.
 */
export function requireImage({ fetched, manifest }: ResolvedManifest): void {
  const { digest } = fetched.descriptor;
  const { config, layers } = manifest;
  if (layers.length > MAX_LAYERS) {
    throw new ImageError(
      "ERR_IMAGE_TOO_LARGE",
      `${digest}: ${layers.length} layers, over ${MAX_LAYERS}`,
    );
  }
  if (!isImageConfigMediaType(config.mediaType)) {
    throw new ImageError(
      "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE",
      `${digest}: a config of type ${escapeText(config.mediaType)} is no image's`,
      { hint: "This looks like an artifact; only images can be pulled into the store." },
    );
  }
  if (algorithmOf(config.digest) !== "sha256") {
    throw new ImageError(
      "ERR_IMAGE_UNSUPPORTED_DIGEST",
      `${digest}: the config is named by ${algorithmOf(config.digest)}, an image ID is a sha256`,
    );
  }
  const foreign = layers.find(({ mediaType }) => !isLayerMediaType(mediaType));
  if (foreign !== undefined) {
    throw new ImageError(
      "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE",
      `${digest}: a layer of type ${escapeText(foreign.mediaType)} can not be unpacked`,
    );
  }
  const bytes = layers.reduce((sum, { size }) => sum + size, config.size);
  if (!Number.isSafeInteger(bytes)) {
    throw new ImageError("ERR_IMAGE_TOO_LARGE", `${digest}: the sizes add up to over 2^53 bytes`);
  }
}

async function fetchVerified(
  opened: OpenedImage,
  target: Tag | Digest,
  digest: Digest | undefined,
  signal: AbortSignal | undefined,
): Promise<FetchedManifest> {
  const fetched = await opened.fetchManifest(target, { signal });
  const named = digest ?? fetched.descriptor.digest;
  // Whatever stands behind the port: these bytes are about to be kept under this name.
  const actual = digestOf(fetched.bytes, algorithmOf(named));
  if (actual !== named || fetched.descriptor.digest !== named) {
    throw new ImageError("ERR_IMAGE_DIGEST_MISMATCH", `${named}: bytes are ${actual}`);
  }
  return fetched;
}

async function requireTag(
  opened: OpenedImage,
  tag: Tag,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { descriptor, document } = await fetchVerified(opened, tag, undefined, signal);
  if (descriptor.digest === digest) return;
  if (document.kind === "index" && isListed(document.index, digest)) return;
  throw new ImageError(
    "ERR_IMAGE_TAG_MISMATCH",
    `${digest}: the tag ${tag} is ${descriptor.digest}`,
    {
      hint: "The tag has moved since the reference was written; drop the tag or update the digest.",
    },
  );
}

function isListed(index: ImageIndex, digest: Digest): boolean {
  return index.manifests.some((entry) => entry.digest === digest);
}

function requireEntry(fetched: FetchedManifest, entry: Descriptor): void {
  const { size, mediaType } = fetched.descriptor;
  if (size !== entry.size) {
    throw new ContentError(
      "ERR_CONTENT_SIZE_MISMATCH",
      `${entry.digest}: ${size} bytes, the index says ${entry.size}`,
    );
  }
  if (mediaType !== entry.mediaType) {
    throw new ImageError(
      "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE",
      `${entry.digest}: ${escapeText(mediaType)}, the index says ${escapeText(entry.mediaType)}`,
    );
  }
}
