import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import type { Script } from "./scripted-server.ts";

export interface BlobScriptOptions {
  /** A strong validator; none is sent where there is none. */
  readonly etag?: string;
  /** Ends each connection after so many bytes of its body. */
  readonly cutAfter?: number;
  readonly ignoreRange?: boolean;
  /** Of each connection. */
  readonly bytesPerSecond?: number;
}

const TICK = 20;

/** Serves one blob as a registry does: with `Range`, `If-Range` and a validator. */
export function blobScript(blob: Uint8Array, options: BlobScriptOptions = {}): Script {
  const { etag, cutAfter, ignoreRange = false, bytesPerSecond } = options;
  return (request, response) => {
    const [first, end] = ignoreRange ? [0, blob.length] : rangeOf(request, blob.length, etag);
    if (etag !== undefined) response.setHeader("etag", etag);
    const isPart = end - first < blob.length;
    if (isPart) response.setHeader("content-range", `bytes ${first}-${end - 1}/${blob.length}`);
    response.writeHead(isPart ? 206 : 200, { "content-length": end - first }).flushHeaders();
    const body = blob.subarray(first, Math.min(end, first + (cutAfter ?? end)));
    if (bytesPerSecond !== undefined) return drip(response, body, bytesPerSecond);
    if (first + body.length === end) return response.end(body);
    return response.write(body, () => response.socket?.destroySoon());
  };
}

/** The validator that a registry would give. */
export function tagOf(blob: Uint8Array): string {
  return `"${createHash("sha256").update(blob).digest("hex")}"`;
}

function rangeOf(
  request: IncomingMessage,
  size: number,
  etag: string | undefined,
): readonly [first: number, end: number] {
  const match = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? "");
  const condition = request.headers["if-range"];
  if (match === null || (condition !== undefined && condition !== etag)) return [0, size];
  return [Number(match[1]), match[2] === "" ? size : Number(match[2]) + 1];
}

function drip(response: ServerResponse, body: Uint8Array, bytesPerSecond: number): void {
  const started = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - started) * bytesPerSecond) / 1000);
    const to = Math.min(body.length, due);
    if (!response.writableNeedDrain && to > sent) response.write(body.subarray(sent, (sent = to)));
    if (sent < body.length) return;
    clearInterval(timer);
    response.end();
  }, TICK);
  response.once("close", () => clearInterval(timer));
}
