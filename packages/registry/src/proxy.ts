import type { ProxyLogin } from "./auth/auth-gate.ts";
import type { TlsOptions } from "./tls-options.ts";

/** A proxy, and who we are to it. */
export interface Proxy {
  /** Scheme (`http:`, `https:`, `socks5:`, `socks5h:`), host and port. */
  readonly url: URL;
  readonly login: ProxyLogin | undefined;
  /** How an `https:` proxy proves itself. */
  readonly tls: () => Promise<TlsOptions | undefined>;
}

/** The address of a proxy for messages; the origin of a SOCKS URL would be `null`. */
export function proxyName({ url }: Pick<Proxy, "url">): string {
  return `${url.protocol}//${url.host}`;
}

/** The proxy through which `url` is asked for; `undefined`: none. */
export type ProxyLookup = (url: URL) => Proxy | undefined;
