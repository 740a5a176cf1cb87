import {
  type Descriptor,
  escapeText,
  formatPlatform,
  type ImageConfig,
  type ImageManifest,
  type Platform,
} from "@stowage/content";

import { ImageError } from "./image-error.ts";

/**
 * Holds a config to its manifest and to what was asked for.
 *
 * @param isAsked - whether the caller named the platform; else another architecture is only odd.
 * @returns what is odd, for a person to read.
 * @throws {@link ImageError} `ERR_IMAGE_LAYERS_MISMATCH`, `ERR_IMAGE_WRONG_OS`,
 *   `ERR_IMAGE_PLATFORM_MISMATCH`.
 */
export function checkImageConfig(
  config: ImageConfig,
  manifest: ImageManifest,
  wanted: Platform,
  isAsked: boolean,
): readonly string[] {
  const { digest }: Descriptor = manifest.config;
  const layers = manifest.layers.length;
  const diffIDs = config.rootfs.diff_ids.length;
  if (diffIDs !== layers) {
    throw new ImageError(
      "ERR_IMAGE_LAYERS_MISMATCH",
      `${digest}: the config has ${diffIDs} layers, the manifest ${layers}`,
    );
  }
  if (config.os && config.os !== wanted.os) {
    throw new ImageError(
      "ERR_IMAGE_WRONG_OS",
      `${digest}: for ${escapeText(config.os)}, not ${escapeText(wanted.os)}`,
    );
  }
  if (!config.architecture || config.architecture === wanted.architecture) return [];
  const is = escapeText(formatPlatform({ os: wanted.os, architecture: config.architecture }));
  const message = `${digest}: for ${is}, not ${escapeText(formatPlatform(wanted))}`;
  if (isAsked) throw new ImageError("ERR_IMAGE_PLATFORM_MISMATCH", message);
  return [message];
}
