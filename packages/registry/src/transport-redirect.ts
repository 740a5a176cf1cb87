import { RegistryError } from "./registry-error.ts";
import { redactUrl, redactUrlText } from "./redact.ts";
import { protocolError, singleHeader, type Transport, type TransportRequest } from "./transport.ts";

const MAX_REDIRECTS = 5;
const MAX_LOCATION_LENGTH = 8192;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
// All that another origin may see of us; anything else could be a secret.
const PORTABLE_HEADERS: ReadonlySet<string> = new Set(["accept", "range", "user-agent"]);

/**
 * Follows the redirects of a GET or HEAD, at most five. Another origin gets only the headers that
 * hold no secret, and TLS is never left.
 */
export function withRedirect(next: Transport): Transport {
  return async (first, { signal }) => {
    let request = first;
    for (let hops = 0; ; hops += 1) {
      const response = await next(request, { signal });
      if (!REDIRECTS.has(response.status) || !isSafe(request)) return response;
      if (hops === MAX_REDIRECTS) {
        response.cancel();
        throw refused(first, `more than ${MAX_REDIRECTS} redirects`);
      }
      const location = singleHeader(request, response, "location");
      if (location === undefined || location.length > MAX_LOCATION_LENGTH) {
        throw protocolError(request, response, "a redirect without a usable Location");
      }
      response.cancel();
      request = redirected(request, location);
    }
  };
}

function isSafe({ method }: TransportRequest): boolean {
  return method === "GET" || method === "HEAD";
}

function redirected(request: TransportRequest, location: string): TransportRequest {
  const url = URL.parse(location, request.url.href);
  if (url === null) throw refused(request, "to what is no URL");
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refused(request, `to ${redactUrlText(location)}`);
  }
  if (url.protocol === "http:" && request.url.protocol === "https:") {
    throw refused(request, `from TLS to plain HTTP at ${redactUrl(url)}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw refused(request, `with a password to ${redactUrl(url)}`);
  }
  url.hash = "";
  const { tls: _tls, ...rest } = request;
  if (url.origin === request.url.origin) return { ...request, url };
  const portable = Object.entries(request.headers).filter(([name]) => PORTABLE_HEADERS.has(name));
  return { ...rest, url, headers: Object.fromEntries(portable) };
}

function refused(request: TransportRequest, what: string): RegistryError {
  const url = redactUrl(request.url);
  return new RegistryError("ERR_REGISTRY_REDIRECT_REFUSED", `${url}: redirected ${what}`, {
    method: request.method,
    url,
  });
}
