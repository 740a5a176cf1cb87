import { type Descriptor, isDigest, MEDIA_TYPE } from "@stowage/content";

import { type Exchange, sendJson } from "./exchange.ts";
import { readStoredManifest } from "./manifests.ts";
import { ProtocolError } from "./protocol-error.ts";

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
    const { descriptor, document } = await readStoredManifest(exchange, entry);
    const parsed = document.kind === "index" ? document.index : document.manifest;
    if (parsed.subject?.digest !== target) continue;
    const artifactType =
      parsed.artifactType ??
      (document.kind === "manifest" ? document.manifest.config.mediaType : undefined);
    if (wanted !== null && artifactType !== wanted) continue;
    manifests.push({
      ...descriptor,
      ...(artifactType !== undefined && { artifactType }),
      ...(parsed.annotations && { annotations: parsed.annotations }),
    });
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
