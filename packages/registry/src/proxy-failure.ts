import { escapeText } from "@stowage/content";

import { networkError } from "./network-failure.ts";
import { type Proxy, proxyName } from "./proxy.ts";
import { RegistryError, type RegistryErrorCode } from "./registry-error.ts";

const HINT = "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; NO_PROXY names hosts to reach without.";

/** A failure of the proxy itself; without what it said, and without our login. */
export function proxyFailed(
  proxy: Proxy,
  what: string,
  code: RegistryErrorCode = "ERR_REGISTRY_UNAVAILABLE",
): RegistryError {
  const url = proxyName(proxy);
  return new RegistryError(code, `the proxy ${url} ${escapeText(what, 160)}`, {
    url,
    hint: HINT,
  });
}

/** What the status of a proxy's own answer means. */
export function proxyRefused(proxy: Proxy, status: number): RegistryError {
  if (status !== 407) return proxyFailed(proxy, `answers HTTP ${status}`);
  const what = proxy.login === undefined ? "wants a user and a password" : "refuses the login";
  return proxyFailed(proxy, `${what} (HTTP 407)`, "ERR_REGISTRY_AUTH_FAILED");
}

/** What a failed connection to a proxy means. */
export function proxyUnreachable(proxy: Proxy, error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  // The connection's own explanation, said of the proxy.
  const told = networkError(error, { method: "GET", url: proxy.url, headers: {} });
  const what = told.message.slice(told.message.indexOf(": ") + 2);
  const { code, cause } = told;
  const url = proxyName(proxy);
  return new RegistryError(code, `the proxy ${url}: ${what}`, {
    url,
    hint: HINT,
    cause,
  });
}
