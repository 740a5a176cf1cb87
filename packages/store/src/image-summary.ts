import type { ImageConfig, JsonValue } from "@stowage/content";

import { RecordShape } from "./record-shape.ts";

/** What lists show of an image's config, as that has it; of its labels any key is only data. */
export interface ImageSummary {
  readonly os?: string;
  readonly architecture?: string;
  readonly variant?: string;
  /** When the image was made. */
  readonly created?: string;
  readonly user?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

// Every list reads all records.
const MAX_BYTES = 16 * 1024;

/** Takes what lists show from a config. */
export function summarizeConfig(config: ImageConfig): ImageSummary {
  const { os, architecture, variant, created } = config;
  const { User: user, Labels: labels } = config.config ?? {};
  return {
    ...(os !== undefined && { os }),
    ...(architecture !== undefined && { architecture }),
    ...(variant !== undefined && { variant }),
    ...(created !== undefined && { created }),
    ...(user !== undefined && { user }),
    ...(labels !== undefined && { labels }),
  };
}

/**
 * What the record of an image keeps of its config.
 *
 * @returns `undefined` where that would be much: who lists such an image reads its config.
 */
export function keptSummary(config: ImageConfig): ImageSummary | undefined {
  const summary = summarizeConfig(config);
  return Buffer.byteLength(JSON.stringify(summary)) <= MAX_BYTES ? summary : undefined;
}

/** @throws TypeError Saying which field is wrong. */
export function parseImageSummary(value: JsonValue): ImageSummary {
  const texts = ["os", "architecture", "variant", "created", "user"] as const;
  const shape = new RecordShape(value, "image.summary", [...texts, "labels"]);
  return {
    ...Object.fromEntries(
      texts.filter((key) => shape.has(key)).map((key) => [key, shape.string(key)]),
    ),
    ...(shape.has("labels") && { labels: shape.texts("labels") }),
  };
}
