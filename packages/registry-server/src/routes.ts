import type { IncomingMessage, ServerResponse } from "node:http";

import { requireBasic, type ServerCredentials } from "./basic-auth.ts";
import { deleteBlob, getBlob } from "./blobs.ts";
import { type Exchange, sendJson, type Served } from "./exchange.ts";
import { listRepositories } from "./catalogue.ts";
import { deleteManifest, getManifest, putManifest } from "./manifests.ts";
import { asProtocolError, ProtocolError } from "./protocol-error.ts";
import { listReferrers } from "./referrers.ts";
import { listTags } from "./tags.ts";
import { cancelUpload, continueUpload, finishUpload, getUpload, startUpload } from "./uploads.ts";

/** What the requests of one server have in common. */
export interface Rules extends Served {
  readonly readOnly: boolean;
  readonly auth: ServerCredentials | undefined;
}

type Handler = (exchange: Exchange) => Promise<void>;

const NAME = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*";
const ROUTE = new RegExp(`^/v2/(${NAME})/(manifests|blobs/uploads|blobs|tags|referrers)/([^/]*)$`);
const MAX_NAME = 255;

const HANDLERS: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  manifests: { GET: getManifest, HEAD: getManifest, PUT: putManifest, DELETE: deleteManifest },
  blobs: { GET: getBlob, HEAD: getBlob, DELETE: deleteBlob },
  "blobs/uploads": {
    POST: startUpload,
    PATCH: continueUpload,
    PUT: finishUpload,
    GET: getUpload,
    DELETE: cancelUpload,
  },
  tags: { GET: listTags },
  referrers: { GET: listReferrers },
};

/** Answers one request, whatever becomes of it; never rejects. */
export async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { readOnly, auth, ...served }: Rules,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort(new Error("the client has gone away")));
  try {
    response.setHeader("docker-distribution-api-version", "registry/2.0");
    if (auth !== undefined) requireBasic(request, auth);
    const url = parseUrl(request.url);
    const path = decodePath(url.pathname);
    if (path === "/v2/" || path === "/v2") {
      sendJson({ request, response }, 200, {});
      return;
    }
    if (path === "/v2/_catalog" && ["GET", "HEAD"].includes(request.method ?? "GET")) {
      await listRepositories({ ...served, request, response, url });
      return;
    }
    const [, repository, noun, target] = ROUTE.exec(path) ?? [];
    if (repository === undefined || noun === undefined || repository.length > MAX_NAME) {
      throw new ProtocolError(404, "NAME_INVALID", "no such path");
    }
    const { method = "GET" } = request;
    const handler = HANDLERS[noun]?.[method];
    const isReading = method === "GET" || method === "HEAD";
    if (handler === undefined || (readOnly && !isReading)) {
      throw new ProtocolError(405, "UNSUPPORTED", "this registry does not do that");
    }
    const { signal } = gone;
    await handler({ ...served, request, response, url, repository, target: target ?? "", signal });
  } catch (error) {
    refuse(request, response, error);
  }
}

function parseUrl(text = "/"): URL {
  const url = URL.parse(text, "http://registry.invalid");
  if (url === null) throw new ProtocolError(400, "NAME_INVALID", "malformed path");
  return url;
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ProtocolError(400, "NAME_INVALID", "malformed path");
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { status, spec: code, message, headers } = asProtocolError(error);
  // What was sent and is not read would be taken for the next request.
  const closing = request.complete ? {} : { connection: "close" };
  sendJson(
    { request, response },
    status,
    { errors: [{ code, message }] },
    { ...headers, ...closing },
  );
}
