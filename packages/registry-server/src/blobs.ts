import { pipeline } from "node:stream/promises";

import { type ContentInfo, isDigest } from "@stowage/content";

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
  response.writeHead(range ? 206 : 200, {
    "content-type": OCTETS,
    "docker-content-digest": digest,
    "accept-ranges": "bytes",
    etag: etagOf(digest),
    "content-length": String(last - first + 1),
    ...(range && { "content-range": `bytes ${first}-${last}/${size}` }),
  });
  if (request.method === "HEAD" || size === 0) {
    response.end();
    return;
  }
  const source = content.openContent(
    { mediaType: OCTETS, digest, size },
    { signal, offset: first },
  );
  await pipeline(takeBytes(source, last - first + 1), response);
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
  if (info === undefined) throw new ProtocolError(404, "BLOB_UNKNOWN", `no blob ${target}`);
  return info;
}

async function* takeBytes(
  source: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const chunk of source) {
    yield chunk.byteLength > left ? chunk.subarray(0, left) : chunk;
    left -= chunk.byteLength;
    if (left <= 0) return;
  }
  // A promised length that is not kept has to end the connection, or the client would wait for the rest.
  throw new Error(`the content ended ${left} bytes too early`);
}
