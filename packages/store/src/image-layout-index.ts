/**
 * Keeps `index.json`, by which other tools read the store's root as an OCI image layout.
 *
 * It is a view: it follows from the records. Of ours, only the repair of a record reads it.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * @module
 */
import { existsSync, lstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import {
  type Descriptor,
  type Digest,
  hasErrorCode,
  isDigest,
  MEDIA_TYPE,
  parseManifest,
} from "@stowage/content";

import type { ImageID, ImageManifestRecord, ImageRecord } from "./image-record.ts";
import { listImages } from "./image-records.ts";
import { encodeName, type ImageName, listNames } from "./name-index.ts";
import { findMissingImages } from "./missing-images.ts";
import { publishFile } from "./publish-file.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath, imagePath, type StoreLayout } from "./store-layout.ts";
import { reportFailures } from "./system-failure.ts";

const REF_NAME = "org.opencontainers.image.ref.name";
/** What was kept with a manifest for the policy: its digest, size and media type. */
const SIGNATURES = "dev.stowage.signatures";

/** Writes `index.json` anew, if it says anything else than the records. */
export async function refreshIndex(context: StoreContext): Promise<void> {
  await reportFailures("index.json can not be written", async () => {
    // Two processes that write it at once could each miss the other's name.
    using _index = await context.lock("index", "exclusive");
    const path = indexPath(context.layout);
    const text = await formatIndex(context);
    if (readIndex(path) === text) return;
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
    actual: readIndex(indexPath(context.layout)),
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
  return readEntries(indexPath(context.layout)).flatMap(({ digest, annotations }) => {
    const imageId = images.get(digest);
    const name = annotations?.[REF_NAME];
    return imageId === undefined || name === undefined ? [] : [{ name, imageId }];
  });
}

/** The signatures of manifests in `index.json`, as far as they are stored. */
export async function indexedSignatures(
  context: StoreContext,
): Promise<ReadonlyMap<Digest, Descriptor>> {
  const found = new Map<Digest, Descriptor>();
  for (const { digest, annotations } of readEntries(indexPath(context.layout))) {
    const signatures = parsePart(annotations?.[SIGNATURES] ?? "");
    if (signatures && isStored(context.layout, signatures)) found.set(digest, signatures);
  }
  return found;
}

/** What can not be read has none. */
function readEntries(path: string): readonly Descriptor[] {
  try {
    const { document } = parseManifest(Buffer.from(readIndex(path) ?? ""));
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
  const images = await listImages(context);
  const byId = new Map(images.records.map((image) => [image.id, image]));
  const names = await listNames(context);
  const manifests: Descriptor[] = [];
  for (const { name, imageId } of names.records) {
    const image = byId.get(imageId);
    const { manifest, signatures } = (image && manifestFor(image, name)) ?? {};
    if (manifest === undefined || !isStored(context.layout, manifest)) continue;
    const annotations = {
      ...manifest.annotations,
      [REF_NAME]: name,
      ...(signatures && { [SIGNATURES]: formatPart(signatures) }),
    };
    manifests.push({ ...manifest, annotations });
  }
  const areAllHere = names.records.every(({ imageId }) => byId.has(imageId));
  const missing = areAllHere ? new Map<ImageID, string>() : await findMissingImages(context);
  if (names.damaged.length + images.damaged.length + missing.size > 0) {
    const isKnown = ({ imageId }: ImageName): boolean =>
      byId.has(imageId) ||
      (!missing.has(imageId) && !existsSync(imagePath(context.layout, imageId)));
    const known = new Set(names.records.filter(isKnown).map(({ name }) => name));
    await keepUnreadable(context, manifests, known);
  }
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests };
  return `${JSON.stringify(index, undefined, 2)}\n`;
}

/**
 * Leaves in the index what it has of names whose records can not be read, or those of their images:
 * nothing else says any more what was in them, and a repair finds it here.
 */
async function keepUnreadable(
  { layout }: StoreContext,
  manifests: Descriptor[],
  known: ReadonlySet<string>,
): Promise<void> {
  let before: string | undefined;
  for (const entry of readEntries(indexPath(layout))) {
    const name = entry.annotations?.[REF_NAME];
    if (name !== undefined && !known.has(name) && isStored(layout, entry) && isThere(name)) {
      // It stays where it was.
      const at = manifests.findIndex(({ annotations }) => annotations?.[REF_NAME] === before);
      manifests.splice(at + 1, 0, entry);
    }
    before = name;
  }

  function isThere(name: string): boolean {
    const path = join(layout.names, encodeName(name));
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  }
}

/** What a name means: a digest in it names exact bytes, a tag the latest that were pulled. */
function manifestFor(image: ImageRecord, name: string): ImageManifestRecord | undefined {
  const { manifests } = image;
  const digest = name.split("@")[1];
  const isNamed = ({ manifest, index }: ImageManifestRecord): boolean =>
    manifest.digest === digest || index?.digest === digest;
  return manifests.find(isNamed) ?? manifests[0];
}

function formatPart({ mediaType, digest, size }: Descriptor): string {
  return `${digest} ${size} ${mediaType}`;
}

function parsePart(text: string): Descriptor | undefined {
  const [digest = "", size = "", mediaType = ""] = text.split(" ");
  if (!isDigest(digest) || !/^[0-9]{1,15}$/.test(size) || mediaType === "") return undefined;
  return { mediaType, digest, size: Number(size) };
}

function isStored(layout: StoreLayout, { digest, size }: Descriptor): boolean {
  const stat = lstatSync(blobPath(layout, digest), { throwIfNoEntry: false });
  return stat?.size === size;
}

function readIndex(path: string): string | undefined {
  try {
    // The asynchronous one takes a read that gives less than there is for the last.
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function indexPath(layout: StoreLayout): string {
  return join(layout.root, "index.json");
}
