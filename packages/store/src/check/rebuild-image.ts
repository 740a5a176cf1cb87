import {
  encodedOf,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  parseManifest,
  readContent,
} from "@stowage/content";

import { indexedSignatures } from "../image-layout-index.ts";
import type { ImageID, ImageManifestRecord, ImageRecord } from "../image-record.ts";
import { withSummary } from "../image-records.ts";
import { keptDescriptor } from "../kept-descriptor.ts";
import { layerIDs } from "../layer-id.ts";
import { listNames } from "../name-index.ts";
import { readImageConfig } from "../read-image-config.ts";
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
    config ??= keptDescriptor(found.manifest.config);
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
  const read = await readImageConfig(run.blobs, config, run);
  if (read === undefined) return undefined;
  const layers = layerIDs(read.rootfs.diff_ids);
  const created = new Date().toISOString();
  return withSummary({ version: 1, id, config, manifests, layers, created }, read);
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

async function repositoriesOf(run: CheckRun, id: ImageID): Promise<readonly string[]> {
  const names = (await listNames(run.context)).records;
  return names.flatMap(({ name, imageId }) =>
    encodedOf(imageId) === encodedOf(id) ? (run.repair?.repositoryOf?.(name) ?? []) : [],
  );
}
