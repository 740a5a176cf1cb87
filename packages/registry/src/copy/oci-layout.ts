/**
 * The documents of an OCI image layout, wherever its files are.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * @module
 */
import {
  algorithmOf,
  ContentError,
  type ContentProvider,
  type Descriptor,
  type Digest,
  encodedOf,
  type FetchedManifest,
  hasErrorCode,
  isImageIndexMediaType,
  isImageManifestMediaType,
  type JsonValue,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  parseDescriptor,
  parseJsonDocument,
  parseManifest,
  readContent,
} from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import { referrerDescriptor } from "../referrers.ts";
import type { TransportOptions } from "../transport.ts";
import type { CopySource } from "./copy-place.ts";

/** The names of the files that make a folder a layout. */
export const LAYOUT_FILE = "oci-layout";
export const INDEX_FILE = "index.json";
/** What `oci-layout` says. */
export const LAYOUT_DOCUMENT = '{"imageLayoutVersion":"1.0.0"}';
/** The longest `index.json` that is read, in bytes. */
export const MAX_INDEX_BYTES: number = 32 * 1024 * 1024;

const NAME = "org.opencontainers.image.ref.name";
/** Where Docker's and containerd's exports keep the whole name. */
export const FULL_NAME = "io.containerd.image.name";

/** `index.json`, with all that others have written into it. */
export interface LayoutIndex {
  readonly document: Readonly<Record<string, JsonValue>>;
  readonly manifests: readonly Descriptor[];
}

/** Where the file of a blob is within a layout. */
export function blobFile(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${encodedOf(digest)}`;
}

/** Reads `index.json`; `undefined` bytes are a layout that is not there yet. */
export function parseLayoutIndex(bytes: Uint8Array | undefined, where: string): LayoutIndex {
  if (bytes === undefined) {
    const document = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] };
    return { document, manifests: [] };
  }
  try {
    const json = parseJsonDocument(bytes, { maxBytes: MAX_INDEX_BYTES });
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new TypeError("it is no object");
    }
    const document = json as Readonly<Record<string, JsonValue>>;
    const entries = document["manifests"];
    if (!Array.isArray(entries)) throw new TypeError("it has no manifests");
    const manifests = (entries as readonly JsonValue[]).map((entry, at) =>
      parseDescriptor(entry, `manifests[${at}]`),
    );
    return { document, manifests };
  } catch (cause) {
    throw invalidLayout(where, "its index.json is no image index", cause);
  }
}

/** `index.json` with one more entry, which takes the name from whoever had it. */
export function addToIndex(
  { document, manifests }: LayoutIndex,
  descriptor: Descriptor,
  name: string | undefined,
): LayoutIndex {
  const kept = manifests.filter((entry) => {
    if (name !== undefined) return entry.annotations?.[NAME] !== name && !isBare(entry, descriptor);
    return entry.digest !== descriptor.digest;
  });
  const known = manifests.some(({ digest }) => digest === descriptor.digest);
  if (name === undefined && known) return { document, manifests };
  const annotations =
    name === undefined ? descriptor.annotations : { ...descriptor.annotations, [NAME]: name };
  const entry = { ...descriptor, ...(annotations !== undefined && { annotations }) };
  return { document, manifests: [...kept, entry] };
}

/** The bytes of `index.json`. */
export function formatLayoutIndex({ document, manifests }: LayoutIndex): Uint8Array {
  return Buffer.from(`${JSON.stringify({ ...document, manifests })}\n`);
}

/** How a manifest stands in `index.json`. */
export function indexEntry(manifest: FetchedManifest): Descriptor {
  const { document } = manifest;
  const { subject } = document.kind === "index" ? document.index : document.manifest;
  return subject === undefined ? manifest.descriptor : referrerDescriptor(manifest);
}

/**
 * An image of a layout, whose files `content` can open.
 *
 * @param isSame - whether two names mean the same, where that takes more than to be equal.
 */
export function layoutSource(
  name: string,
  index: LayoutIndex,
  content: ContentProvider,
  wanted: string | undefined,
  isSame: (one: string, other: string) => boolean = Object.is,
): Omit<CopySource, typeof Symbol.asyncDispose> {
  const fetch = async (
    descriptor: Descriptor,
    { signal }: TransportOptions = {},
  ): Promise<FetchedManifest> => {
    const bytes = await readContent(content, descriptor, { maxBytes: MAX_MANIFEST_BYTES, signal });
    return parseManifest(bytes, descriptor.mediaType, descriptor.digest);
  };
  const find = (tag: string): Descriptor | undefined =>
    index.manifests.findLast(({ annotations }) => annotations?.[NAME] === tag);
  return {
    name,
    async fetchRoot(options) {
      return fetch(findRoot(name, index, wanted, isSame), options);
    },
    fetchManifest: fetch,
    openContent: (descriptor, options) => content.openContent(descriptor, options),
    async *referrers(subject, options) {
      yield* await findReferrers(index, subject, fetch, options);
    },
    async findTag(tag, options) {
      const found = find(tag);
      return found === undefined ? undefined : fetch(found, options);
    },
  };
}

/** The error for a layout or an archive that cannot be read. */
export function invalidLayout(where: string, what: string, cause?: unknown): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_LAYOUT", `${where}: ${what}`, {
    ...(cause !== undefined && { cause }),
    hint: "Make it anew with the tool that wrote it, and name the right file or folder.",
  });
}

function isBare(entry: Descriptor, { digest }: Descriptor): boolean {
  return entry.digest === digest && entry.annotations?.[NAME] === undefined;
}

function findRoot(
  where: string,
  { manifests }: LayoutIndex,
  wanted: string | undefined,
  isSame: (one: string, other: string) => boolean,
): Descriptor {
  const found = manifests.filter(({ annotations, artifactType }) => {
    if (wanted === undefined) return artifactType === undefined;
    const own = [annotations?.[NAME], annotations?.[FULL_NAME]];
    return own.some((one) => one !== undefined && isSame(one, wanted));
  });
  const [first] = found;
  if (first !== undefined && new Set(found.map(({ digest }) => digest)).size === 1) return first;
  const names = manifests.flatMap(({ annotations }) => annotations?.[NAME] ?? []);
  const told = names.length === 0 ? "It has no names." : `It has ${names.join(", ")}.`;
  const what =
    wanted === undefined
      ? `${found.length} images, and none is named`
      : found.length === 0
        ? `no image is named ${wanted}`
        : `${found.length} images are named ${wanted}`;
  throw new RegistryError("ERR_REGISTRY_NOT_FOUND", `${where}: ${what}`, { hint: told });
}

async function findReferrers(
  { manifests }: LayoutIndex,
  subject: Digest,
  fetch: (descriptor: Descriptor, options?: TransportOptions) => Promise<FetchedManifest>,
  options: TransportOptions | undefined,
): Promise<readonly Descriptor[]> {
  const found = new Map<Digest, Descriptor>();
  const seen = new Set<Digest>();
  const queue = [...manifests];
  for (const descriptor of queue) {
    const { digest, mediaType } = descriptor;
    if (seen.has(digest)) continue;
    seen.add(digest);
    if (!isImageManifestMediaType(mediaType) && !isImageIndexMediaType(mediaType)) continue;
    let manifest: FetchedManifest;
    try {
      manifest = await fetch(descriptor, options);
    } catch (error) {
      // Layouts have holes where only some platforms were copied.
      if (error instanceof ContentError && hasErrorCode(error, "ERR_CONTENT_NOT_FOUND")) continue;
      throw error;
    }
    const { document } = manifest;
    if (document.kind === "index") queue.push(...document.index.manifests);
    const named = document.kind === "index" ? document.index.subject : document.manifest.subject;
    if (named?.digest === subject) found.set(digest, referrerDescriptor(manifest));
  }
  return [...found.values()];
}
