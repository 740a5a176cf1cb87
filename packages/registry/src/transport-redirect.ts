import { redactQuery } from "./redact.ts";
import { refusedLocation, serverLocation } from "./server-location.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
// All that another origin may see of us; anything else could be a secret.
const PORTABLE_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "if-range",
  "range",
  "user-agent",
]);

/**
 * Follows the redirects of a GET or HEAD, at most five. Another origin gets only the headers that
 * hold no secret, TLS is never left, and a registry on the internet cannot send into a private
 * network.
 */
export function withRedirect(next: Transport): Transport {
  return async (first, { signal }) => {
    let request = first;
    for (let hops = 0; ; hops += 1) {
      const response = await next(request, { signal });
      if (!REDIRECTS.has(response.status) || !isSafe(request)) {
        return hops === 0 ? response : withoutQuery(response, request.url);
      }
      if (hops === MAX_REDIRECTS) {
        response.cancel();
        throw refusedLocation(
          first,
          `more than ${MAX_REDIRECTS} times`,
          "Ask who runs the registry: it sends clients in a circle.",
        );
      }
      request = redirected(request, serverLocation(request, response), first.url);
    }
  };
}

function isSafe({ method }: TransportRequest): boolean {
  return method === "GET" || method === "HEAD";
}

function redirected(request: TransportRequest, url: URL, registry: URL): TransportRequest {
  if (url.origin === request.url.origin) return { ...request, url };
  const { tls: _tls, ...rest } = request;
  const portable = Object.entries(request.headers).filter(([name]) => PORTABLE_HEADERS.has(name));
  const headers = Object.fromEntries(portable);
  return { ...rest, url, headers, namedBy: registry.hostname, namedFor: "content" };
}

/** The query of a place that we were sent to is a signature, which its server may repeat. */
function withoutQuery(response: TransportResponse, url: URL): TransportResponse {
  const { redact = (text) => text } = response;
  return { ...response, redact: (text) => redactQuery(redact(text), url) };
}
