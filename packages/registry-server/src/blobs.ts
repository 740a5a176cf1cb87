import { pipeline } from "node:stream/promises";

import { type ContentInfo, type Digest, hasErrorCode, isDigest } from "@stowage/content";

import { readRange } from "./byte-range.ts";
import { etagOf, type Exchange, isUnchanged, sendEmpty, sendUnchanged } from "./exchange.ts";
import { ProtocolError } from "./protocol-error.ts";

const OCTETS = "application/octet-stream";

/** `GET` and `HEAD` of a blob, whole or from one range of it. */
export async function getBlob(exchange: Exchange): Promise<void> {
  const { request, response, content, signal } = exchange;
  const { digest, size } = await requireBlob(exchange);
  if (isUnchanged(exchange, digest)) {
    sendUnchanged(exchange, digest);
    return;
  }
  const range = readRange(request, size, etagOf(digest));
  const { first, last } = range ?? { first: 0, last: size - 1 };
  const length = last - first + 1;
  const isEmpty = request.method === "HEAD" || size === 0;
  const source = isEmpty
    ? []
    : content.openContent({ mediaType: OCTETS, digest, size }, { signal, offset: first });
  // What is gone by now can still be told; behind the headers only by cutting the answer off.
  const body = await begun(takeBytes(source, isEmpty ? 0 : length), digest);
  response.writeHead(range ? 206 : 200, {
    "content-type": OCTETS,
    "docker-content-digest": digest,
    "accept-ranges": "bytes",
    etag: etagOf(digest),
    "content-length": String(length),
    ...(range && { "content-range": `bytes ${first}-${last}/${size}` }),
  });
  if (isEmpty) response.end();
  else await pipeline(body, response);
}

/** `DELETE` of a blob. */
export async function deleteBlob(exchange: Exchange): Promise<void> {
  const { digest } = await requireBlob(exchange);
  await exchange.content.remove(digest);
  sendEmpty(exchange, 202);
}

async function requireBlob({ request, target, content, signal }: Exchange): Promise<ContentInfo> {
  if (!isDigest(target)) throw new ProtocolError(400, "DIGEST_INVALID", "not a digest");
  // Who pushes asks so, and does not send what is here.
  const toRefer = request.method === "HEAD";
  const info = await content.stat(target, { signal, toRefer });
  if (info === undefined) throw unknownBlob(target);
  return info;
}

function unknownBlob(digest: Digest): ProtocolError {
  return new ProtocolError(404, "BLOB_UNKNOWN", `no blob ${digest}`);
}

/** A source whose first chunk has been read. */
async function begun(
  source: AsyncGenerator<Uint8Array>,
  digest: Digest,
): Promise<AsyncGenerator<Uint8Array>> {
  const head = await source.next().catch((error: unknown) => {
    throw hasErrorCode(error, "ERR_CONTENT_NOT_FOUND") ? unknownBlob(digest) : error;
  });
  return (async function* () {
    try {
      if (head.done !== true) yield head.value;
      yield* source;
    } finally {
      await source.return(undefined);
    }
  })();
}

async function* takeBytes(
  source: AsyncIterable<Uint8Array> | readonly Uint8Array[],
  length: number,
): AsyncGenerator<Uint8Array> {
  let left = length;
  if (left === 0) return;
  for await (const chunk of source) {
    yield chunk.byteLength > left ? chunk.subarray(0, left) : chunk;
    left -= chunk.byteLength;
    if (left <= 0) return;
  }
  // A promised length that is not kept has to end the connection, or the client would wait for the rest.
  throw new Error(`the content ended ${left} bytes too early`);
}
