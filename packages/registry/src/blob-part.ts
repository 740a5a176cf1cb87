import { type ByteSource, ContentError, type Digest } from "@stowage/content";

import { parseContentRange } from "./content-range.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import {
  protocolError,
  singleHeader,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** What {@link openBlobPart} opens. */
export interface BlobPartOptions {
  readonly digest: Digest;
  /** Of the whole blob, in bytes. */
  readonly size: number;
  readonly offset: number;
  /** The part that broke off, if this one takes it up. */
  readonly previous: BlobPart | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Bytes of a blob from an offset on, and the connection that they come over. */
export interface BlobPart {
  readonly bytes: ByteSource;
  readonly slot: Disposable;
  readonly connection: RegistryConnection;
  /** A strong validator, if the server gave one. */
  readonly entityTag: string | undefined;
}

/** Opens a blob at an offset, and checks all that the headers tell before the first byte. */
export async function openBlobPart(
  connection: RegistryConnection,
  options: BlobPartOptions,
): Promise<BlobPart> {
  const { digest, offset, previous, signal } = options;
  const slot = await connection.blobSlots.acquire(signal);
  try {
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const request = await connection.request("GET", `blobs/${digest}`, headers, signal);
    const response = await connection.send(request, { signal });
    if (response.status !== 200 && response.status !== 206) {
      throw await responseError(request, response, { signal });
    }
    checkHeaders(request, response, options);
    const entityTag = strongTagOf(request, response);
    const replaced =
      previous?.connection === connection &&
      previous.entityTag !== undefined &&
      entityTag !== undefined &&
      previous.entityTag !== entityTag;
    if (replaced) throw protocolError(request, response, "the ETag changed on the way");
    const bytes = response.status === 206 ? response.body : skip(response.body, offset);
    return { bytes, slot, connection, entityTag };
  } catch (error) {
    slot[Symbol.dispose]();
    throw error;
  }
}

function checkHeaders(
  request: TransportRequest,
  response: TransportResponse,
  { digest, size, offset }: BlobPartOptions,
): void {
  const whole = response.status === 200;
  const range = singleHeader(request, response, "content-range");
  const type = singleHeader(request, response, "content-type") ?? "";
  if (/^multipart\//iu.test(type)) throw protocolError(request, response, "an answer in parts");
  if (!whole) {
    const parsed = range === undefined ? undefined : parseContentRange(range);
    if (
      request.headers["range"] === undefined ||
      parsed?.first !== offset ||
      parsed.last !== size - 1 ||
      parsed.total !== size
    ) {
      throw protocolError(request, response, `not the bytes ${offset}-${size - 1}/${size}`);
    }
  }
  const length = singleHeader(request, response, "content-length");
  const expected = whole ? size : size - offset;
  if (length !== undefined && Number(length) !== expected) {
    response.cancel();
    throw new ContentError(
      "ERR_CONTENT_SIZE_MISMATCH",
      `${digest}: ${length} bytes are announced, not ${expected}`,
    );
  }
}

function strongTagOf(request: TransportRequest, response: TransportResponse): string | undefined {
  const tag = singleHeader(request, response, "etag");
  return tag !== undefined && tag.startsWith('"') ? tag : undefined;
}

/** What a server that ignores `Range` sends again. The digest is over what was passed on first. */
async function* skip(body: ByteSource, count: number): ByteSource {
  let skipped = 0;
  for await (const chunk of body) {
    const rest = chunk.subarray(Math.min(count - skipped, chunk.byteLength));
    skipped += chunk.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}
