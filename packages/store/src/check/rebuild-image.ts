import {
  encodedOf,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  parseImageConfig,
  parseManifest,
  readContent,
} from "@stowage/content";

import { indexedSignatures } from "../image-layout-index.ts";
import type { ImageID, ImageManifestRecord, ImageRecord } from "../image-record.ts";
import { withSummary } from "../image-records.ts";
import { readSummary } from "../image-summary.ts";
import { layerIDs } from "../layer-id.ts";
import { listNames } from "../name-index.ts";
import type { CheckRun } from "./check-run.ts";

/**
 * Makes the record of an image from the manifests in the store that have its config, with the
 * signatures that `index.json` says were kept with them.
 *
 * @returns `undefined` where there is none, or the config can not be read.
 */
export async function rebuildImage(run: CheckRun, id: ImageID): Promise<ImageRecord | undefined> {
  const manifests: ImageManifestRecord[] = [];
  let config: ImageRecord["config"] | undefined;
  const repositories = await repositoriesOf(run, id);
  const signaturesOf = await indexedSignatures(run.context);
  for await (const { digest, size } of run.blobs.walk({ signal: run.signal })) {
    if (size > MAX_MANIFEST_BYTES) continue;
    const found = await readManifest(run, digest, size);
    if (found === undefined || found.manifest.config.digest !== id) continue;
    config ??= found.manifest.config;
    const descriptor = { mediaType: found.mediaType, digest, size };
    const [repository] = repositories;
    const signatures = signaturesOf.get(digest);
    manifests.push({
      manifest: descriptor,
      ...(repository !== undefined && { repository }),
      ...(signatures && { signatures }),
    });
  }
  if (config === undefined) return undefined;
  const diffIDs = await readDiffIDs(run, config);
  if (diffIDs === undefined) return undefined;
  const created = new Date().toISOString();
  const record = { version: 1, id, config, manifests, layers: layerIDs(diffIDs), created } as const;
  return withSummary(record, await readSummary(run.blobs, config, run));
}

async function readManifest(run: CheckRun, digest: ImageID, size: number) {
  try {
    const descriptor = { mediaType: MEDIA_TYPE.imageManifest, digest, size };
    const bytes = await readContent(run.blobs, descriptor, { maxBytes: MAX_MANIFEST_BYTES });
    // Most blobs are no documents, and need not be parsed to be told so.
    if (bytes[0] !== "{".charCodeAt(0)) return undefined;
    const { descriptor: read, document } = parseManifest(bytes);
    return document.kind === "manifest"
      ? { manifest: document.manifest, mediaType: read.mediaType }
      : undefined;
  } catch (error) {
    run.signal?.throwIfAborted();
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

async function readDiffIDs(run: CheckRun, config: ImageRecord["config"]) {
  try {
    const bytes = await readContent(run.blobs, config, { maxBytes: MAX_CONFIG_BYTES });
    return parseImageConfig(bytes).rootfs.diff_ids;
  } catch (error) {
    run.signal?.throwIfAborted();
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

async function repositoriesOf(run: CheckRun, id: ImageID): Promise<readonly string[]> {
  const names = (await listNames(run.context)).records;
  return names.flatMap(({ name, imageId }) =>
    encodedOf(imageId) === encodedOf(id) ? (run.repair?.repositoryOf?.(name) ?? []) : [],
  );
}
