import type { IncomingMessage, ServerResponse } from "node:http";

import type { ContentStore } from "@stowage/content";

import type { TagStore } from "./tag-store.ts";
import type { Uploads } from "./upload-store.ts";

/** One request, and what it is answered from. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly repository: string;
  /** The tag, digest or upload that the path ends with. */
  readonly target: string;
  readonly content: ContentStore;
  readonly tags: TagStore;
  readonly uploads: Uploads;
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
