import {
  algorithmOf,
  ContentError,
  type Digest,
  digestOf,
  type FetchedManifest,
  hasErrorCode,
  isDigest,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  parseDigest,
  parseManifest,
} from "@stowage/content";
import type { Tag } from "@stowage/reference";

import { readBody } from "./read-body.ts";
import { redactUrl } from "./redact.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import {
  protocolError,
  singleHeader,
  type TransportOptions,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

// Schema 1 is asked for so that its error says what it is; without it a registry says "not found".
const ACCEPT = [
  MEDIA_TYPE.imageManifest,
  MEDIA_TYPE.dockerManifest,
  MEDIA_TYPE.imageIndex,
  MEDIA_TYPE.dockerManifestList,
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
  "application/vnd.docker.distribution.manifest.v1+json",
].join(", ");

const HINT_OF_PAGE =
  "It is a web page (text/html): is this a registry, or something that stands before one?";

/** How a manifest is asked for. */
export interface AskManifestOptions extends TransportOptions {
  /** Whether there is another place to ask. */
  readonly hasAlternative?: boolean | undefined;
}

/**
 * Fetches a manifest and holds it to its digest. Without one the server's own claim
 * (`Docker-Content-Digest`) is compared, never adopted.
 */
export async function fetchManifest(
  connection: RegistryConnection,
  target: Tag | Digest,
  { signal, hasAlternative = false }: AskManifestOptions,
): Promise<FetchedManifest> {
  const headers = { accept: ACCEPT };
  const bare = await connection.request("GET", `manifests/${target}`, headers, signal);
  const request = { ...bare, hasAlternative };
  const response = await connection.send(request, { signal });
  if (response.status !== 200) throw await responseError(request, response, { signal });
  const mediaType = singleHeader(request, response, "content-type");
  const claimed = claimOf(request, response);
  const bytes = await readBody(request, response, MAX_MANIFEST_BYTES);
  const wanted = isDigest(target) ? target : claimed;
  try {
    if (wanted !== undefined) requireDigest(bytes, wanted);
    return parseManifest(bytes, mediaType, isDigest(target) ? target : digestOf(bytes));
  } catch (error) {
    const isPage = /^text\/html\b/i.test(mediaType ?? "");
    throw named(error, redactUrl(request.url), isPage ? HINT_OF_PAGE : undefined);
  }
}

/**
 * What the registry says that a target is: by HEAD, or by GET where the answer to that says nothing.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_NOT_FOUND`, and as the README says.
 */
export async function peekDigest(
  connection: RegistryConnection,
  target: Tag | Digest,
  options: AskManifestOptions,
): Promise<Digest> {
  const { signal, hasAlternative = false } = options;
  const headers = { accept: ACCEPT };
  const bare = await connection.request("HEAD", `manifests/${target}`, headers, signal);
  const request = { ...bare, hasAlternative };
  const response = await connection.send(request, { signal });
  const { status } = response;
  if (status !== 200 && status !== 405 && status !== 501) {
    throw await responseError(request, response, { signal });
  }
  response.cancel();
  const claimed = status === 200 ? claimOf(request, response) : undefined;
  return claimed ?? (await fetchManifest(connection, target, options)).descriptor.digest;
}

/** Says which manifest is at fault. */
function named(error: unknown, url: string, hintOfType: string | undefined): unknown {
  if (!(error instanceof ContentError)) return error;
  const { code, hint = hintOfType, message } = error;
  return new ContentError(code, `${url}: ${message}`, { cause: error, hint });
}

function claimOf(request: TransportRequest, response: TransportResponse): Digest | undefined {
  const header = singleHeader(request, response, "docker-content-digest");
  if (header === undefined) return undefined;
  if (isDigest(header)) return header;
  try {
    return parseDigest(header);
  } catch (error) {
    // Nothing can be said about an algorithm that we do not know.
    if (hasErrorCode(error, "ERR_CONTENT_UNSUPPORTED_DIGEST")) {
      return undefined;
    }
    throw protocolError(request, response, "a malformed Docker-Content-Digest");
  }
}

function requireDigest(bytes: Uint8Array, digest: Digest): void {
  const actual = digestOf(bytes, algorithmOf(digest));
  if (actual !== digest) {
    throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", `${digest}: bytes are ${actual}`, {
      hint: "The registry, or something on the way to it, altered the manifest. Do not use it.",
    });
  }
}
