import { pipeline } from "node:stream/promises";

import { type ContentInfo, isDigest } from "@stowage/content";

import { type Exchange, sendEmpty } from "./exchange.ts";
import { ProtocolError } from "./protocol-error.ts";

const OCTETS = "application/octet-stream";

/** `GET` and `HEAD` of a blob, whole or from one range of it. */
export async function getBlob(exchange: Exchange): Promise<void> {
  const { request, response, content, signal } = exchange;
  const { digest, size } = await requireBlob(exchange);
  const range = readRange(request.headers.range, size);
  const headers = {
    "content-type": OCTETS,
    "docker-content-digest": digest,
    "accept-ranges": "bytes",
    etag: `"${digest}"`,
  };
  const { first, last } = range ?? { first: 0, last: size - 1 };
  response.writeHead(range ? 206 : 200, {
    ...headers,
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

async function requireBlob({ target, content, signal }: Exchange): Promise<ContentInfo> {
  if (!isDigest(target)) throw new ProtocolError(400, "DIGEST_INVALID", "not a digest");
  const info = await content.stat(target, { signal });
  if (info === undefined) throw new ProtocolError(404, "BLOB_UNKNOWN", `no blob ${target}`);
  return info;
}

/** One range as RFC 9110 14.1.2 has it; `undefined` is the whole, which several ranges get, too. */
function readRange(
  header: string | undefined,
  size: number,
): { first: number; last: number } | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (from === undefined || to === undefined || (from === "" && to === "")) return undefined;
  const first = from === "" ? Math.max(size - Number(to), 0) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (first >= size || first > last) {
    throw new ProtocolError(416, "SIZE_INVALID", "no such range", {
      "content-range": `bytes */${size}`,
    });
  }
  return { first, last };
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
}
