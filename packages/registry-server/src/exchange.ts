import type { IncomingMessage, ServerResponse } from "node:http";

import type { ContentStore, Digest } from "@stowage/content";

import type { Referrers } from "./referrers.ts";
import type { TagStore } from "./tag-store.ts";
import type { Uploads } from "./upload-store.ts";

/** What every request is answered from. */
export interface Served {
  readonly content: ContentStore;
  readonly tags: TagStore;
  readonly uploads: Uploads;
  readonly referrers: Referrers;
  /** Milliseconds within which 16 KiB of a body must come. */
  readonly stallTimeout: number;
}

/** One request, and what it is answered from. */
export interface Exchange extends Served {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly repository: string;
  /** The tag, digest or upload that the path ends with. */
  readonly target: string;
  /** Fires when the client has gone away. */
  readonly signal: AbortSignal;
}

/** Answers with a document, or with its headers alone to `HEAD`. */
export function sendJson(
  { request, response }: Pick<Exchange, "request" | "response">,
  status: number,
  document: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify(document);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Answers without a body. */
export function sendEmpty(
  { response }: Pick<Exchange, "response">,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-length": "0", ...headers });
  response.end();
}

/** Whether the client says that it has these bytes. */
export function isUnchanged({ request }: Pick<Exchange, "request">, digest: Digest): boolean {
  const held = (request.headers["if-none-match"] ?? "").split(",");
  return held.some((tag) => ["*", etagOf(digest)].includes(tag.trim().replace(/^W\//, "")));
}

/** Answers to who has the bytes. */
export function sendUnchanged({ response }: Pick<Exchange, "response">, digest: Digest): void {
  response.writeHead(304, { etag: etagOf(digest), "docker-content-digest": digest });
  response.end();
}

/** The entity tag of what a digest names. */
export function etagOf(digest: Digest): string {
  return `"${digest}"`;
}
