import {
  algorithmOf,
  ContentError,
  type Descriptor,
  type Digest,
  digestOf,
  type FetchedManifest,
} from "@stowage/content";
import type { Tag } from "@stowage/reference";

import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import { singleHeader, type TransportOptions } from "./transport.ts";

/** What a registry made of a manifest. */
export interface PushedManifest {
  readonly descriptor: Descriptor;
  /** Whether the registry lists it with the referrers of its subject by itself. */
  readonly listed: boolean;
}

/**
 * Puts a manifest's very bytes into a repository, under a tag or its digest.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
 */
export async function pushManifest(
  connection: RegistryConnection,
  { bytes, descriptor }: FetchedManifest,
  target: Tag | Digest,
  { signal }: TransportOptions,
): Promise<PushedManifest> {
  const { mediaType, digest } = descriptor;
  const actual = digestOf(bytes, algorithmOf(digest));
  if (actual !== digest) {
    throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", `${digest}: bytes are ${actual}`);
  }
  const headers = { "content-type": mediaType, "content-length": String(bytes.byteLength) };
  const bare = await connection.request("PUT", `manifests/${target}`, headers, signal);
  const request = { ...bare, body: bytes, repeatable: true };
  const response = await connection.send(request, { signal });
  if (response.status !== 201 && response.status !== 200 && response.status !== 202) {
    throw await responseError(request, response, { signal });
  }
  const claimed = singleHeader(request, response, "docker-content-digest");
  const listed = singleHeader(request, response, "oci-subject") !== undefined;
  response.cancel();
  if (claimed?.startsWith(`${algorithmOf(digest)}:`) && claimed !== digest) {
    throw new ContentError(
      "ERR_CONTENT_DIGEST_MISMATCH",
      `${digest}: the registry kept it as ${claimed}`,
    );
  }
  return { descriptor, listed };
}
