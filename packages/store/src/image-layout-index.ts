/**
 * Keeps `index.json`, by which other tools read the store's root as an OCI image layout.
 *
 * It is a view: it follows from the records, and nothing of ours reads it.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * @module
 */
import { lstatSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { type Descriptor, hasErrorCode, MEDIA_TYPE, parseManifest } from "@stowage/content";

import type { ImageID, ImageManifestRecord, ImageRecord } from "./image-record.ts";
import { listImages } from "./image-records.ts";
import { listNames } from "./name-index.ts";
import { publishFile } from "./publish-file.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath, type StoreLayout } from "./store-layout.ts";
import { reportFailures } from "./system-failure.ts";

const REF_NAME = "org.opencontainers.image.ref.name";

/** Writes `index.json` anew, if it says anything else than the records. */
export async function refreshIndex(context: StoreContext): Promise<void> {
  await reportFailures("index.json can not be written", async () => {
    // Two processes that write it at once could each miss the other's name.
    using _index = await context.lock("index", "exclusive");
    const path = indexPath(context.layout);
    const text = await formatIndex(context);
    if ((await readIndex(path)) === text) return;
    await publishFile({ path, bytes: text, stagingDir: context.stagingDir() });
  });
}

/**
 * As {@link refreshIndex}; on a full disk the file stays as it is, and is written when a store is
 * opened next: nothing that removes or opens may fail for it.
 */
export async function refreshIndexIfRoom(context: StoreContext): Promise<void> {
  try {
    await refreshIndex(context);
  } catch (error) {
    if (!hasErrorCode(error, "ERR_STORE_NO_SPACE")) throw error;
  }
}

/** What `index.json` should be, and what it is. */
export async function compareIndex(
  context: StoreContext,
): Promise<{ readonly expected: string; readonly actual: string | undefined }> {
  return {
    expected: await formatIndex(context),
    actual: await readIndex(indexPath(context.layout)),
  };
}

/** The names in `index.json`, each with the image that its manifest is of. */
export async function indexedNames(
  context: StoreContext,
): Promise<readonly { readonly name: string; readonly imageId: ImageID }[]> {
  const images = new Map<string, ImageID>();
  for (const { id, manifests } of (await listImages(context)).records) {
    for (const { manifest } of manifests) images.set(manifest.digest, id);
  }
  return (await readEntries(indexPath(context.layout))).flatMap(({ digest, annotations }) => {
    const imageId = images.get(digest);
    const name = annotations?.[REF_NAME];
    return imageId === undefined || name === undefined ? [] : [{ name, imageId }];
  });
}

/** What can not be read has none. */
async function readEntries(path: string): Promise<readonly Descriptor[]> {
  try {
    const { document } = parseManifest(Buffer.from((await readIndex(path)) ?? ""));
    return document.kind === "index" ? document.index.manifests : [];
  } catch (error) {
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}

/** Whether names or images may have changed since `index.json` was written. */
export function isIndexStale(layout: StoreLayout): boolean {
  const index = statSync(indexPath(layout), { bigint: true, throwIfNoEntry: false });
  if (index === undefined || index.size === 0n) return true;
  const newest = [layout.names, layout.images].map((path) => lstatSync(path, { bigint: true }));
  return newest.some((stat) => stat.mtimeNs >= index.mtimeNs);
}

async function formatIndex(context: StoreContext): Promise<string> {
  const { records: images } = await listImages(context);
  const byId = new Map(images.map((image) => [image.id, image]));
  const manifests: Descriptor[] = [];
  for (const { name, imageId } of (await listNames(context)).records) {
    const image = byId.get(imageId);
    const manifest = image && manifestFor(image, name);
    if (manifest === undefined || !isStored(context.layout, manifest)) continue;
    const annotations = { ...manifest.annotations, [REF_NAME]: name };
    manifests.push({ ...manifest, annotations });
  }
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests };
  return `${JSON.stringify(index, undefined, 2)}\n`;
}

/** What a name means: a digest in it names exact bytes, a tag the latest that were pulled. */
function manifestFor(image: ImageRecord, name: string): Descriptor | undefined {
  const { manifests } = image;
  const digest = name.split("@")[1];
  const isNamed = ({ manifest, index }: ImageManifestRecord): boolean =>
    manifest.digest === digest || index?.digest === digest;
  return (manifests.find(isNamed) ?? manifests[0])?.manifest;
}

function isStored(layout: StoreLayout, { digest, size }: Descriptor): boolean {
  const stat = lstatSync(blobPath(layout, digest), { throwIfNoEntry: false });
  return stat?.size === size;
}

async function readIndex(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function indexPath(layout: StoreLayout): string {
  return join(layout.root, "index.json");
}
