import type { IncomingMessage } from "node:http";

import { ProtocolError } from "./protocol-error.ts";

/** A part of a blob; both ends are in it. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The range that a request asks for; `undefined` is the whole. That is what several ranges get, and
 * malformed ones, and whoever holds a part of something else by `if-range`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110.html#section-14
 */
export function readRange(
  { method, headers }: IncomingMessage,
  size: number,
  etag: string,
): ByteRange | undefined {
  if (method !== "GET" || (headers["if-range"] ?? etag) !== etag) return undefined;
  const [, from, to] = /^bytes=(\d*)-(\d*)$/i.exec(headers.range ?? "") ?? [];
  if (from === undefined || to === undefined || (from === "" && to === "")) return undefined;
  if (from !== "" && to !== "" && Number(to) < Number(from)) return undefined;
  const first = from === "" ? Math.max(size - Number(to), 0) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (first <= last) return { first, last };
  throw new ProtocolError(416, "SIZE_INVALID", "no such range", {
    "content-range": `bytes */${size}`,
  });
}
