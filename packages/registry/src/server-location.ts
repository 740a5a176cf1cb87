import { RegistryError } from "./registry-error.ts";
import { redactUrl, redactUrlText } from "./redact.ts";
import {
  protocolError,
  singleHeader,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

const MAX_LOCATION_LENGTH = 8192;

/**
 * Where a `Location` leads. Whoever sends there builds the request from nothing: what is safe to
 * tell one origin is not safe to tell another.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_PROTOCOL` without a usable `Location`;
 *   `ERR_REGISTRY_REDIRECT_REFUSED` if it leaves TLS, holds a password, or is no web address.
 */
export function serverLocation(request: TransportRequest, response: TransportResponse): URL {
  const location = singleHeader(request, response, "location");
  if (location === undefined || location.length > MAX_LOCATION_LENGTH) {
    throw protocolError(request, response, "no usable Location");
  }
  response.cancel();
  const url = URL.parse(location, request.url.href);
  if (url === null) throw refusedLocation(request, "to what is no URL");
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refusedLocation(request, `to ${redactUrlText(location)}`);
  }
  if (url.protocol === "http:" && request.url.protocol === "https:") {
    throw refusedLocation(
      request,
      `from TLS to plain HTTP at ${redactUrl(url)}`,
      "If a proxy ends TLS before the registry, it must tell it so: X-Forwarded-Proto: https.",
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw refusedLocation(request, `with a password to ${redactUrl(url)}`);
  }
  url.hash = "";
  return url;
}

/** The error for a place that we do not go to. */
export function refusedLocation(
  request: TransportRequest,
  what: string,
  hint?: string,
): RegistryError {
  const url = redactUrl(request.url);
  return new RegistryError("ERR_REGISTRY_REDIRECT_REFUSED", `${url}: redirected ${what}`, {
    method: request.method,
    url,
    hint,
  });
}
