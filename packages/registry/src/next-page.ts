import { parseNextLink } from "./link-header.ts";
import { namespaceOf, withNamespace } from "./namespace-query.ts";
import { protocolError, type TransportRequest, type TransportResponse } from "./transport.ts";

/**
 * The request for the page after this one, if there is one. Path and query of the link are all that
 * is taken, and only below the same list.
 *
 * @param seen - the URLs of the pages so far.
 * @throws {@link RegistryError} `ERR_REGISTRY_PROTOCOL` for a page elsewhere or a circle.
 */
export function nextPage(
  first: TransportRequest,
  request: TransportRequest,
  response: TransportResponse,
  seen: ReadonlySet<string>,
): TransportRequest | undefined {
  const link = parseNextLink(response.headers["link"]);
  if (link === undefined) return undefined;
  const target = URL.parse(link, request.url.href);
  const url = target && URL.parse(`${target.pathname}${target.search}`, first.url.origin);
  if (url === null || url.origin !== first.url.origin || url.pathname !== first.url.pathname) {
    throw protocolError(request, response, "the next page is elsewhere");
  }
  // A mirror that is asked for another registry need not repeat which.
  withNamespace(url, namespaceOf(first.url));
  if (seen.has(url.href)) throw protocolError(request, response, "the pages go in a circle");
  return { ...first, url };
}
