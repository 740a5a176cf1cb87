/**
 * The requests that an upload is made of.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
 * @module
 */
import { algorithmOf, type Digest } from "@stowage/content";

import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import { serverLocation } from "./server-location.ts";
import {
  protocolError,
  type RequestBody,
  singleHeader,
  type TransportMethod,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** An upload that the registry has opened. */
export interface UploadSession {
  /** Changes with each answer; the last one is the one to use. */
  readonly location: URL;
  /** Bytes that the registry has. */
  readonly offset: number;
  /** The least length of a chunk other than the last, in bytes; 0 if the registry names none. */
  readonly minChunk: number;
}

/** A part of a blob to be sent. */
export interface UploadPart {
  readonly body: RequestBody | Uint8Array;
  /** Bytes. */
  readonly size: number;
}

/** Begins an upload. */
export async function startUpload(
  connection: RegistryConnection,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<UploadSession> {
  // sha256 is what a registry expects; who wants another must say so at once.
  const query = digest.startsWith("sha256:") ? "" : "?digest-algorithm=sha512";
  const headers = { "content-length": "0" };
  const bare = await connection.request("POST", `blobs/uploads/${query}`, headers, signal);
  const request = { ...bare, repeatable: true };
  const response = await connection.send(request, { signal });
  if (response.status !== 202) throw await responseError(request, response, { signal });
  return sessionOf(request, response, 0);
}

/**
 * Asks for a blob of another repository of the same registry; answers a new upload where the
 * registry will not, and `undefined` where it did.
 */
export async function mountBlob(
  connection: RegistryConnection,
  digest: Digest,
  from: string,
  signal: AbortSignal | undefined,
): Promise<UploadSession | undefined> {
  const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
  const headers = { "content-length": "0" };
  const bare = await connection.request("POST", `blobs/uploads/?${query}`, headers, signal);
  const request = { ...bare, repeatable: true, readsFrom: [from] };
  const response = await connection.send(request, { signal });
  if (response.status === 202) return sessionOf(request, response, 0);
  if (response.status !== 201) throw await responseError(request, response, { signal });
  response.cancel();
  return undefined;
}

/** Where an upload stands; `undefined` if the registry has forgotten it. */
export async function uploadStatus(
  connection: RegistryConnection,
  session: UploadSession,
  signal: AbortSignal | undefined,
): Promise<UploadSession | undefined> {
  const request = await at(connection, "GET", session.location, {}, signal);
  const response = await connection.send(request, { signal });
  if (response.status !== 204 && response.status !== 202) {
    response.cancel();
    return undefined;
  }
  const offset = offsetOf(request, response);
  if (response.headers["location"] === undefined) {
    response.cancel();
    return { ...session, offset };
  }
  return { ...session, location: serverLocation(request, response), offset };
}

/** Sends the next part. */
export async function sendPart(
  connection: RegistryConnection,
  session: UploadSession,
  { body, size }: UploadPart,
  signal: AbortSignal | undefined,
): Promise<UploadSession> {
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(size),
    "content-range": `${session.offset}-${session.offset + size - 1}`,
  };
  const request = { ...(await at(connection, "PATCH", session.location, headers, signal)), body };
  const response = await connection.send(request, { signal });
  if (response.status !== 202 && response.status !== 204) {
    throw await responseError(request, response, { signal });
  }
  const offset = session.offset + size;
  // Some registries leave out how far they are; one that says another number has lost bytes.
  const told = response.headers["range"] === undefined ? offset : offsetOf(request, response);
  if (told !== offset && !(told === 0 && offset === 1)) {
    throw protocolError(request, response, `the upload does not stand at ${offset} bytes`);
  }
  return { ...sessionOf(request, response, offset), minChunk: session.minChunk };
}

/** Ends an upload, with the rest of its bytes if any; the registry checks the digest. */
export async function completeUpload(
  connection: RegistryConnection,
  session: UploadSession,
  digest: Digest,
  rest: UploadPart | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const url = new URL(session.location);
  url.searchParams.set("digest", digest);
  const headers = {
    "content-length": String(rest?.size ?? 0),
    ...(rest !== undefined && { "content-type": "application/octet-stream" }),
    ...(rest !== undefined &&
      session.offset > 0 && {
        "content-range": `${session.offset}-${session.offset + rest.size - 1}`,
      }),
  };
  const bare = await at(connection, "PUT", url, headers, signal);
  const request = rest === undefined ? bare : { ...bare, body: rest.body };
  const response = await connection.send(request, { signal });
  if (response.status !== 201 && response.status !== 204) {
    throw await responseError(request, response, { signal });
  }
  const claimed = singleHeader(request, response, "docker-content-digest");
  // Registries may name the same bytes by their own favourite algorithm.
  if (claimed?.startsWith(`${algorithmOf(digest)}:`) && claimed !== digest) {
    throw protocolError(request, response, "the registry kept the blob under another digest");
  }
  response.cancel();
}

/** Has the registry forget an upload; whether it does is its own business. */
export async function cancelUpload(
  connection: RegistryConnection,
  session: UploadSession,
  signal: AbortSignal | undefined,
): Promise<void> {
  const request = await at(connection, "DELETE", session.location, {}, signal);
  (await connection.send(request, { signal })).cancel();
}

/** A request to a URL that the registry gave: built from nothing, whatever its origin. */
async function at(
  connection: RegistryConnection,
  method: TransportMethod,
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<TransportRequest> {
  const own = await connection.request(method, "", headers, signal);
  return url.origin === own.url.origin
    ? { ...own, url }
    : { ...own, url, namedBy: own.url.hostname, namedFor: "content" };
}

function sessionOf(
  request: TransportRequest,
  response: TransportResponse,
  offset: number,
): UploadSession {
  const least = singleHeader(request, response, "oci-chunk-min-length");
  const minChunk = least !== undefined && /^[0-9]{1,12}$/u.test(least) ? Number(least) : 0;
  return { location: serverLocation(request, response), offset, minChunk };
}

function offsetOf(request: TransportRequest, response: TransportResponse): number {
  const range = singleHeader(request, response, "range");
  const match = /^(?:bytes=)?0-([0-9]{1,15})$/u.exec(range ?? "");
  if (match === null) throw protocolError(request, response, "a malformed Range");
  const last = Number(match[1]);
  // 0-0 is what registries say of an upload without a byte, and of one with a single byte, too.
  return last === 0 ? 0 : last + 1;
}
