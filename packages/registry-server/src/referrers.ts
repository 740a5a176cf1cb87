import { type Descriptor, type Digest, hasErrorCode, isDigest, MEDIA_TYPE } from "@stowage/content";

import { type Exchange, sendJson } from "./exchange.ts";
import { readStoredManifest } from "./manifests.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { ManifestEntry } from "./tag-store.ts";

/** What is known of manifests that were read once: what they refer to, or that it is nothing. */
export type Referrers = Map<Digest, Referrer | undefined>;

/** A manifest that refers to another, and how it is listed. */
export interface Referrer {
  readonly subject: Digest;
  readonly descriptor: Descriptor;
}

/**
 * `GET` of what refers to a manifest, as an index; of one artifact type if asked.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
 */
export async function listReferrers(exchange: Exchange): Promise<void> {
  const { url, repository, target, tags } = exchange;
  if (!isDigest(target)) throw new ProtocolError(400, "DIGEST_INVALID", "not a digest");
  const wanted = url.searchParams.get("artifactType");
  const manifests: Descriptor[] = [];
  for (const entry of await tags.manifests(repository)) {
    const { subject, descriptor } = (await findReferrer(exchange, entry)) ?? {};
    if (descriptor === undefined || subject !== target) continue;
    if (wanted === null || descriptor.artifactType === wanted) manifests.push(descriptor);
  }
  sendJson(
    exchange,
    200,
    { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests },
    {
      "content-type": MEDIA_TYPE.imageIndex,
      ...(wanted !== null && { "oci-filters-applied": "artifactType" }),
    },
  );
}

// A digest names the same manifest for ever, so that each is read once.
async function findReferrer(
  exchange: Exchange,
  entry: ManifestEntry,
): Promise<Referrer | undefined> {
  const { content, referrers, signal } = exchange;
  if (referrers.has(entry.digest)) return referrers.get(entry.digest);
  // The content store is the caller's: what was taken out of it there hides itself alone.
  if (!(await content.stat(entry.digest, { signal }))) return undefined;
  const manifest = await readStoredManifest(exchange, entry).catch((error: unknown) => {
    if (hasErrorCode(error, "ERR_CONTENT_NOT_FOUND")) return undefined;
    throw error;
  });
  if (manifest === undefined) return undefined;
  const { descriptor, document } = manifest;
  const parsed = document.kind === "index" ? document.index : document.manifest;
  const artifactType =
    parsed.artifactType ??
    (document.kind === "manifest" ? document.manifest.config.mediaType : undefined);
  const referrer = parsed.subject && {
    subject: parsed.subject.digest,
    descriptor: {
      ...descriptor,
      ...(artifactType !== undefined && { artifactType }),
      ...(parsed.annotations && { annotations: parsed.annotations }),
    },
  };
  referrers.set(entry.digest, referrer);
  return referrer;
}
