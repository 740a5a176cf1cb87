import { type JsonValue, parseJsonDocument } from "@stowage/content";

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

const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_PAGES = 1000;
const MAX_ENTRIES = 100_000;

/**
 * The entries of a list that comes in pages, one page at a time, as they are.
 *
 * @param noun - the member of each page that holds them, for messages as well.
 * @throws {@link RegistryError} `ERR_REGISTRY_TOO_LARGE` after 1000 pages or 100 000 entries;
 *   `ERR_REGISTRY_PROTOCOL` for what is no such list; as the README says.
 */
export async function* walkPages(
  connection: RegistryConnection,
  first: TransportRequest,
  noun: "repositories" | "tags",
  { signal }: TransportOptions,
): AsyncGenerator<readonly JsonValue[], void, undefined> {
  const seen = new Set<string>();
  let request: TransportRequest | undefined = first;
  let count = 0;
  while (request !== undefined) {
    if (seen.size === MAX_PAGES) throw tooMany(first, `${MAX_PAGES} pages`);
    seen.add(request.url.href);
    const response = await connection.send(request, { signal });
    if (response.status !== 200) throw await responseError(request, response, { signal });
    const page = await readPage(request, response, noun);
    count += page.length;
    if (count > MAX_ENTRIES) throw tooMany(first, `${MAX_ENTRIES} ${noun}`);
    yield page;
    request = nextPage(first, request, response, seen);
  }
}

async function readPage(
  request: TransportRequest,
  response: TransportResponse,
  noun: string,
): Promise<readonly JsonValue[]> {
  const bytes = await readBody(request, response, MAX_PAGE_BYTES);
  let page: JsonValue;
  try {
    page = parseJsonDocument(bytes, { maxBytes: MAX_PAGE_BYTES, maxNodes: MAX_ENTRIES + 16 });
  } catch {
    throw protocolError(request, response, `the list of ${noun} is no usable JSON document`);
  }
  const entries =
    typeof page === "object" && page !== null && !Array.isArray(page)
      ? (page as { readonly [key: string]: JsonValue })[noun]
      : undefined;
  // Some registries say null for none.
  if (entries === null) return [];
  if (!Array.isArray(entries)) throw protocolError(request, response, `a list without ${noun}`);
  return entries as readonly JsonValue[];
}

function tooMany({ url: whole, method }: TransportRequest, what: string): RegistryError {
  const url = redactUrl(whole);
  return new RegistryError("ERR_REGISTRY_TOO_LARGE", `${url}: more than ${what}`, { url, method });
}
