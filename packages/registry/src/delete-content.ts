import type { Digest } from "@stowage/content";
import type { Tag } from "@stowage/reference";

import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import type { TransportOptions } from "./transport.ts";

/**
 * Removes a tag, or a manifest with all its tags.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#content-management
 */
export function deleteManifest(
  connection: RegistryConnection,
  target: Tag | Digest,
  options: TransportOptions,
): Promise<void> {
  return remove(connection, `manifests/${target}`, options);
}

/** Removes a blob from a repository. */
export function deleteBlob(
  connection: RegistryConnection,
  digest: Digest,
  options: TransportOptions,
): Promise<void> {
  return remove(connection, `blobs/${digest}`, options);
}

async function remove(
  connection: RegistryConnection,
  path: string,
  { signal }: TransportOptions,
): Promise<void> {
  const request = await connection.request("DELETE", path, {}, signal);
  const response = await connection.send(request, { signal });
  if (response.status === 202 || response.status === 200 || response.status === 204) {
    response.cancel();
    return;
  }
  throw await responseError(request, response, { signal });
}
