import { ContentError } from "./content-error.ts";
import type { Descriptor } from "./descriptor.ts";
import { readDescriptor } from "./descriptor.ts";
import { escapeText } from "./escape-text.ts";
import type { JsonShape } from "./internal/json-shape.ts";
import { MEDIA_TYPE } from "./media-type.ts";
import { acceptableVariants, formatPlatform, type Platform } from "./platform.ts";

/**
 * Manifests by platform; Docker says manifest list.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
 */
export interface ImageIndex {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

const MAX_ENTRIES = 1000;
const ZSTD_ANNOTATION = "io.github.containers.compression.zstd";

export function readImageIndex(shape: JsonShape): ImageIndex {
  const entries = shape.children("manifests");
  if (entries.length > MAX_ENTRIES) {
    throw new ContentError(
      "ERR_CONTENT_TOO_LARGE",
      `${shape.path}: ${entries.length} manifests, over ${MAX_ENTRIES}`,
    );
  }
  return {
    schemaVersion: 2,
    ...(shape.has("mediaType") && { mediaType: shape.string("mediaType") }),
    ...(shape.has("artifactType") && { artifactType: shape.string("artifactType") }),
    manifests: entries.map(readDescriptor),
    ...(shape.has("subject") && { subject: readDescriptor(shape.child("subject")) }),
    ...(shape.has("annotations") && { annotations: shape.stringMap("annotations") }),
  };
}

/**
 * Chooses the manifest that serves `wanted`.
 *
 * Operating system and architecture must be equal; variants rank as `acceptableVariants` says;
 * among equals an entry marked as zstd comes first, then the order of the index decides. In an OCI
 * index an entry without a platform is a last resort. Where `os.version` is wanted, an entry that
 * has one must be of the same release and build, which are its first three numbers; where
 * `os.features` are, an entry may need no others.
 *
 * @throws {@link ContentError} `ERR_CONTENT_PLATFORM_NOT_FOUND` if nothing serves.
 */
export function selectManifest(index: ImageIndex, wanted: Platform): Descriptor {
  const variants = acceptableVariants(wanted);
  const lastResort = index.mediaType === MEDIA_TYPE.dockerManifestList ? -1 : variants.length;
  const ranked = index.manifests
    .map((descriptor, position) => ({
      descriptor,
      position,
      rank: rankOf(descriptor.platform, wanted, variants, lastResort),
      gzip: descriptor.annotations?.[ZSTD_ANNOTATION] === "true" ? 0 : 1,
    }))
    .filter(({ rank }) => rank >= 0)
    .sort((a, b) => a.rank - b.rank || a.gzip - b.gzip || a.position - b.position);
  const best = ranked[0];
  if (best === undefined) {
    throw new ContentError(
      "ERR_CONTENT_PLATFORM_NOT_FOUND",
      `image index: nothing for ${escapeText(formatPlatform(wanted))}`,
      { hint: `The index has ${offered(index)}; choose one with --platform.` },
    );
  }
  return best.descriptor;
}

function rankOf(
  platform: Platform | undefined,
  wanted: Platform,
  variants: readonly string[],
  lastResort: number,
): number {
  if (platform === undefined) return lastResort;
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return -1;
  if (!isOfBuild(platform["os.version"], wanted["os.version"])) return -1;
  if (!areAmong(platform["os.features"], wanted["os.features"])) return -1;
  return variants.indexOf(platform.variant ?? "");
}

function isOfBuild(version: string | undefined, wanted: string | undefined): boolean {
  if (version === undefined || wanted === undefined) return true;
  const [build, other] = [version, wanted].map((text) => text.split(".", 3).join("."));
  return build === other;
}

function areAmong(
  needed: readonly string[] | undefined,
  wanted: readonly string[] | undefined,
): boolean {
  return wanted === undefined || (needed ?? []).every((feature) => wanted.includes(feature));
}

function offered(index: ImageIndex): string {
  const platforms = index.manifests
    .map(({ platform }) => platform && formatPlatform(platform))
    .filter((text) => text !== undefined && text !== "unknown/unknown");
  return platforms.length === 0 ? "no platforms" : escapeText([...new Set(platforms)].join(", "));
}
