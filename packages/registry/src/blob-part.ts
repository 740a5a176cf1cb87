import { type ByteSource, ContentError, type ContentOrigin, type Digest } from "@stowage/content";

import { parseContentRange } from "./content-range.ts";
import { redactUrl } from "./redact.ts";
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
  /** The byte behind the last one wanted. @defaultValue `size` */
  readonly end?: number | undefined;
  /** What this server gave to the bytes before `offset`, which these have to belong to. */
  readonly validator?: string | undefined;
  /** Whether there is another place to ask. */
  readonly hasAlternative?: boolean | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Bytes of a blob. To be read once. */
export interface BlobPart {
  readonly bytes: ByteSource;
  /** Whether these are all bytes, although an offset was asked for. */
  readonly isWhole: boolean;
  readonly origin: ContentOrigin;
}

/** Opens a blob at an offset, and checks all that the headers tell before the first byte. */
export async function openBlobPart(
  connection: RegistryConnection,
  options: BlobPartOptions,
): Promise<BlobPart> {
  const { digest, size, offset, end = size, validator, hasAlternative = false, signal } = options;
  const isRange = offset > 0 || end < size;
  const headers = {
    ...(isRange && { range: `bytes=${offset}-${end < size ? end - 1 : ""}` }),
    ...(isRange && validator !== undefined && { "if-range": validator }),
  };
  const bare = await connection.request("GET", `blobs/${digest}`, headers, signal);
  const request = { ...bare, hasAlternative };
  const response = await connection.send(request, { signal });
  if (response.status !== 200 && response.status !== 206) {
    throw await responseError(request, response, { signal });
  }
  checkHeaders(request, response, options);
  const found = strongTagOf(request, response);
  const isPart = response.status === 206;
  if (isPart && validator !== undefined && found !== undefined && found !== validator) {
    throw protocolError(request, response, "the ETag changed on the way");
  }
  const origin = {
    url: redactUrl(request.url),
    ...(found !== undefined && { validator: found }),
  };
  return { bytes: response.body, isWhole: isRange && !isPart, origin };
}

function checkHeaders(
  request: TransportRequest,
  response: TransportResponse,
  { digest, size, offset, end = size }: BlobPartOptions,
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
      parsed.last !== end - 1 ||
      parsed.total !== size
    ) {
      throw protocolError(request, response, `not the bytes ${offset}-${end - 1}/${size}`);
    }
  }
  const length = singleHeader(request, response, "content-length");
  const expected = whole ? size : end - offset;
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
  return tag !== undefined && /^"[\x21\x23-\x7e]{0,256}"$/u.test(tag) ? tag : undefined;
}

/** What a server that ignores `Range` sends again. The digest is over what was passed on first. */
export async function* skipBytes(body: ByteSource, count: number): ByteSource {
  let skipped = 0;
  for await (const chunk of body) {
    const rest = chunk.subarray(Math.min(count - skipped, chunk.byteLength));
    skipped += chunk.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}
