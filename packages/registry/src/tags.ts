import { type JsonValue, parseJsonDocument } from "@stowage/content";
import { parseTag, type Tag } from "@stowage/reference";

import { nextPage } from "./next-page.ts";
import { readBody } from "./read-body.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { RegistryError } from "./registry-error.ts";
import { redactUrl } from "./redact.ts";
import { responseError } from "./response-error.ts";
import {
  protocolError,
  type TransportOptions,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** Entries of a tag list that are no tags, and were left out. */
export interface TagsSkippedEvent {
  readonly type: "tags-skipped";
  readonly count: number;
}

/** How {@link walkTags} reads. */
export interface WalkTagsOptions extends TransportOptions {
  readonly onEvent?: ((event: TagsSkippedEvent) => void) | undefined;
}

const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_PAGES = 1000;
const MAX_TAGS = 100_000;

/** All tags, page by page, in the registry's order. */
export async function* walkTags(
  connection: RegistryConnection,
  { signal, onEvent }: WalkTagsOptions,
): AsyncGenerator<Tag, void, undefined> {
  const first = await connection.request("GET", "tags/list", {}, signal);
  const seen = new Set<string>();
  let request: TransportRequest | undefined = first;
  let count = 0;
  while (request !== undefined) {
    if (seen.size === MAX_PAGES) throw tooMany(first, `${MAX_PAGES} pages`);
    seen.add(request.url.href);
    const response = await connection.send(request, { signal });
    if (response.status !== 200) throw await responseError(request, response, { signal });
    const texts = await readPage(request, response);
    const tags = texts.flatMap(toTag);
    if (tags.length < texts.length) {
      onEvent?.({ type: "tags-skipped", count: texts.length - tags.length });
    }
    count += texts.length;
    if (count > MAX_TAGS) throw tooMany(first, `${MAX_TAGS} tags`);
    yield* tags;
    request = nextPage(first, request, response, seen);
  }
}

async function readPage(
  request: TransportRequest,
  response: TransportResponse,
): Promise<readonly JsonValue[]> {
  const bytes = await readBody(request, response, MAX_PAGE_BYTES);
  let page: JsonValue;
  try {
    page = parseJsonDocument(bytes, { maxBytes: MAX_PAGE_BYTES, maxNodes: MAX_TAGS + 16 });
  } catch {
    throw protocolError(request, response, "the tag list is no usable JSON document");
  }
  const tags =
    typeof page === "object" && page !== null && !Array.isArray(page)
      ? (page as { readonly [key: string]: JsonValue })["tags"]
      : undefined;
  // Some registries say null for none.
  if (tags === null) return [];
  if (!Array.isArray(tags)) throw protocolError(request, response, "the tag list has no tags");
  return tags as readonly JsonValue[];
}

function toTag(text: JsonValue): Tag[] {
  if (typeof text !== "string") return [];
  try {
    return [parseTag(text)];
  } catch {
    return [];
  }
}

function tooMany({ url: whole, method }: TransportRequest, what: string): RegistryError {
  const url = redactUrl(whole);
  return new RegistryError("ERR_REGISTRY_TOO_LARGE", `${url}: more than ${what}`, { url, method });
}
