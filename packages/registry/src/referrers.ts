/**
 * What refers to a manifest: signatures, bills of materials, attestations.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
 * @module
 */
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  digestOf,
  encodedOf,
  type FetchedManifest,
  hasErrorCode,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  parseManifest,
} from "@stowage/content";
import { parseTag, type Tag } from "@stowage/reference";

import { fetchManifest } from "./manifests.ts";
import { nextPage } from "./next-page.ts";
import { pushManifest } from "./push-manifest.ts";
import { readBody } from "./read-body.ts";
import { redactUrl } from "./redact.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { RegistryError } from "./registry-error.ts";
import { responseError } from "./response-error.ts";
import {
  protocolError,
  type TransportOptions,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** Which referrers are wanted. */
export interface ReferrersOptions extends TransportOptions {
  /** Only those of this type. */
  readonly artifactType?: string | undefined;
}

const MAX_PAGES = 100;
const MAX_REFERRERS = 10_000;
const UPDATE_ATTEMPTS = 5;

/** The referrers of `subject`: from the registry's own list, else from the fall-back tag. */
export async function* walkReferrers(
  connection: RegistryConnection,
  subject: Digest,
  options: ReferrersOptions,
): AsyncGenerator<Descriptor, void, undefined> {
  const { signal, artifactType } = options;
  const query =
    artifactType === undefined ? "" : `?artifactType=${encodeURIComponent(artifactType)}`;
  const headers = { accept: MEDIA_TYPE.imageIndex };
  const path = `referrers/${subject}${query}`;
  const first = await connection.request("GET", path, headers, signal);
  const seen = new Set<string>();
  let count = 0;
  let request: TransportRequest | undefined = first;
  while (request !== undefined) {
    if (seen.size === MAX_PAGES) throw tooMany(first, `${MAX_PAGES} pages`);
    seen.add(request.url.href);
    const response = await connection.send(request, { signal });
    if (seen.size === 1 && (response.status === 404 || response.status === 405)) {
      response.cancel();
      yield* wanted(await readFallback(connection, subject, options), artifactType);
      return;
    }
    if (response.status !== 200) throw await responseError(request, response, { signal });
    const found = await readPage(request, response);
    count += found.length;
    if (count > MAX_REFERRERS) throw tooMany(first, `${MAX_REFERRERS} referrers`);
    // A server that says that it filtered may lie, or may not filter at all.
    yield* wanted(found, artifactType);
    request = nextPage(first, request, response, seen);
  }
}

/**
 * The tag under which clients keep the referrers of `subject` where the registry does not. The
 * specification takes 64 characters of the digest, whatever its length.
 */
export function fallbackTag(subject: Digest): Tag {
  return parseTag(`${algorithmOf(subject)}-${encodedOf(subject).slice(0, 64)}`);
}

/** Writes `referrer` into the fall-back tag's list, for a registry that keeps none itself. */
export async function addToFallback(
  connection: RegistryConnection,
  subject: Digest,
  referrer: Descriptor,
  options: TransportOptions,
): Promise<void> {
  await updateFallback(connection, subject, options, (list) =>
    list.some(({ digest }) => digest === referrer.digest) ? undefined : [...list, referrer],
  );
}

/** Takes `referrer` out of the fall-back tag's list. */
export async function removeFromFallback(
  connection: RegistryConnection,
  subject: Digest,
  referrer: Digest,
  options: TransportOptions,
): Promise<void> {
  await updateFallback(connection, subject, options, (list) => {
    const left = list.filter(({ digest }) => digest !== referrer);
    return left.length === list.length ? undefined : left;
  });
}

/** How a manifest stands in a list of referrers. */
export function referrerDescriptor({ descriptor, document }: FetchedManifest): Descriptor {
  const { mediaType, digest, size } = descriptor;
  const { artifactType, annotations } =
    document.kind === "index" ? document.index : document.manifest;
  const type =
    artifactType ?? (document.kind === "manifest" ? document.manifest.config.mediaType : undefined);
  return {
    mediaType,
    digest,
    size,
    ...(type !== undefined && { artifactType: type }),
    ...(annotations !== undefined && { annotations }),
  };
}

async function updateFallback(
  connection: RegistryConnection,
  subject: Digest,
  options: TransportOptions,
  change: (list: readonly Descriptor[]) => readonly Descriptor[] | undefined,
): Promise<void> {
  const tag = fallbackTag(subject);
  await connection.tagTurns.run(tag, () => rewriteFallback(connection, subject, options, change));
}

async function rewriteFallback(
  connection: RegistryConnection,
  subject: Digest,
  options: TransportOptions,
  change: (list: readonly Descriptor[]) => readonly Descriptor[] | undefined,
): Promise<void> {
  const tag = fallbackTag(subject);
  // Other processes write, too, so what was written is read again.
  for (let attempt = 1; attempt <= UPDATE_ATTEMPTS; attempt += 1) {
    const next = change(await readFallback(connection, subject, options));
    if (next === undefined) return;
    const manifest = indexOf(next);
    await pushManifest(connection, manifest, tag, options);
  }
  if (change(await readFallback(connection, subject, options)) === undefined) return;
  throw new RegistryError(
    "ERR_REGISTRY_CONFLICT",
    `${connection.repository.path}:${tag}: others keep writing the list of referrers`,
    { hint: "Try again when nobody else pushes referrers of the same image." },
  );
}

function indexOf(manifests: readonly Descriptor[]): FetchedManifest {
  const mediaType = MEDIA_TYPE.imageIndex;
  const document = { schemaVersion: 2, mediaType, manifests };
  const bytes = Buffer.from(JSON.stringify(document));
  return parseManifest(bytes, mediaType, digestOf(bytes));
}

async function readFallback(
  connection: RegistryConnection,
  subject: Digest,
  options: TransportOptions,
): Promise<readonly Descriptor[]> {
  let found: FetchedManifest;
  try {
    found = await fetchManifest(connection, fallbackTag(subject), options);
  } catch (error) {
    if (hasErrorCode(error, "ERR_REGISTRY_NOT_FOUND")) return [];
    throw error;
  }
  if (found.document.kind !== "index") return [];
  return found.document.index.manifests;
}

async function readPage(
  request: TransportRequest,
  response: TransportResponse,
): Promise<readonly Descriptor[]> {
  const bytes = await readBody(request, response, MAX_MANIFEST_BYTES);
  let found: FetchedManifest;
  try {
    found = parseManifest(bytes, MEDIA_TYPE.imageIndex);
  } catch (error) {
    if (hasErrorCode(error, "ERR_CONTENT_TOO_LARGE")) throw error;
    throw protocolError(request, response, "the list of referrers is no usable image index");
  }
  if (found.document.kind !== "index") {
    throw protocolError(request, response, "the list of referrers is no image index");
  }
  return found.document.index.manifests;
}

function wanted(
  found: readonly Descriptor[],
  artifactType: string | undefined,
): readonly Descriptor[] {
  if (artifactType === undefined) return found;
  return found.filter((descriptor) => descriptor.artifactType === artifactType);
}

function tooMany({ url: whole, method }: TransportRequest, what: string): RegistryError {
  const url = redactUrl(whole);
  return new RegistryError("ERR_REGISTRY_TOO_LARGE", `${url}: more than ${what}`, { url, method });
}
