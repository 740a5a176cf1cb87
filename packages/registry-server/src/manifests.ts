import {
  type Descriptor,
  digestOf,
  algorithmOf,
  type FetchedManifest,
  hasErrorCode,
  isDigest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  readContent,
} from "@stowage/content";
import { parseTag } from "@stowage/reference";

import { etagOf, type Exchange, isUnchanged, sendEmpty, sendUnchanged } from "./exchange.ts";
import { ProtocolError } from "./protocol-error.ts";
import { readSteadily } from "./steady-body.ts";
import type { ManifestEntry } from "./tag-store.ts";

/** `GET` and `HEAD` of a manifest by tag or digest. */
export async function getManifest(exchange: Exchange): Promise<void> {
  const { response } = exchange;
  const { entry, body } = await requireManifest(exchange);
  if (isUnchanged(exchange, entry.digest)) {
    sendUnchanged(exchange, entry.digest);
    return;
  }
  response.writeHead(200, {
    "content-type": entry.mediaType,
    "content-length": String(entry.size),
    "docker-content-digest": entry.digest,
    etag: etagOf(entry.digest),
  });
  response.end(body);
}

/** `PUT` of a manifest: what it refers to must be here already, a subject excepted. */
export async function putManifest(exchange: Exchange): Promise<void> {
  const { request, repository, target, content, tags, signal, stallTimeout } = exchange;
  const bytes = await readBody(readSteadily(request, stallTimeout));
  const digest = isDigest(target) ? digestOf(bytes, algorithmOf(target)) : digestOf(bytes);
  if (isDigest(target) && digest !== target) {
    throw new ProtocolError(400, "DIGEST_INVALID", `the manifest is ${digest}`);
  }
  if (!isDigest(target)) checkTag(target);
  const manifest = readManifest(bytes, request.headers["content-type"], digest);
  for (const { digest: needed } of referredBy(manifest)) {
    if (!(await content.stat(needed, { signal, toRefer: true }))) {
      throw new ProtocolError(404, "MANIFEST_BLOB_UNKNOWN", `${needed} has not been pushed`);
    }
  }
  const { descriptor, document } = manifest;
  await content.write(descriptor, single(bytes), { signal });
  await tags.put(repository, descriptor, isDigest(target) ? undefined : target);
  const { subject } = document.kind === "index" ? document.index : document.manifest;
  sendEmpty(exchange, 201, {
    location: `/v2/${repository}/manifests/${digest}`,
    "docker-content-digest": digest,
    ...(subject && { "oci-subject": subject.digest }),
  });
}

/** `DELETE` of a tag or of a manifest. The bytes stay, as others may refer to them. */
export async function deleteManifest(exchange: Exchange): Promise<void> {
  const { repository, target, tags, referrers } = exchange;
  if (!(await tags.remove(repository, target))) throw unknownManifest(target);
  if (isDigest(target)) referrers.delete(target);
  sendEmpty(exchange, 202);
}

/** The parsed form of a manifest that the repository has. */
export async function readStoredManifest(
  { content, signal }: Pick<Exchange, "content" | "signal">,
  entry: ManifestEntry,
): Promise<FetchedManifest> {
  const bytes = await readContent(content, entry, { signal });
  return parseManifest(bytes, entry.mediaType, entry.digest);
}

async function requireManifest(
  exchange: Exchange,
): Promise<{ readonly entry: ManifestEntry; readonly body: Uint8Array | undefined }> {
  const { request, repository, target, tags, content, signal } = exchange;
  for (let before: string | undefined; ;) {
    const entry = await tags.resolve(repository, target);
    // A tag that has moved since leads to other bytes, which are there.
    if (entry === undefined || entry.digest === before) throw unknownManifest(target);
    before = entry.digest;
    try {
      // The content store is the caller's, who may have taken the bytes out of it.
      if (!(await content.stat(entry.digest, { signal }))) continue;
      const isUnsent = request.method === "HEAD" || isUnchanged(exchange, entry.digest);
      return { entry, body: isUnsent ? undefined : await readContent(content, entry, { signal }) };
    } catch (error) {
      if (!hasErrorCode(error, "ERR_CONTENT_NOT_FOUND")) throw error;
    }
  }
}

function unknownManifest(target: string): ProtocolError {
  return new ProtocolError(404, "MANIFEST_UNKNOWN", `no manifest ${target}`);
}

function checkTag(target: string): void {
  try {
    parseTag(target);
  } catch {
    throw new ProtocolError(400, "MANIFEST_INVALID", "not a tag");
  }
}

function readManifest(
  bytes: Uint8Array,
  type: string | undefined,
  digest: Descriptor["digest"],
): FetchedManifest {
  try {
    return parseManifest(bytes, type, digest);
  } catch (error) {
    throw new ProtocolError(
      400,
      "MANIFEST_INVALID",
      error instanceof Error ? error.message : "invalid",
    );
  }
}

function referredBy({ document }: FetchedManifest): readonly Descriptor[] {
  return document.kind === "index"
    ? document.index.manifests
    : [document.manifest.config, ...document.manifest.layers];
}

async function readBody(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    length += chunk.byteLength;
    if (length > MAX_MANIFEST_BYTES)
      throw new ProtocolError(
        413,
        "SIZE_INVALID",
        `a manifest has at most ${MAX_MANIFEST_BYTES} bytes`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
