/**
 * Connections through proxies: `CONNECT` of HTTP, and SOCKS 5.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { SecureContext } from "node:tls";

import { buildConnector } from "undici";

import { proxyHeaders } from "./auth/auth-gate.ts";
import { connectorOf, connectWith } from "./connector.ts";
import type { Proxy } from "./proxy.ts";
import { proxyFailed, proxyRefused, proxyUnreachable } from "./proxy-failure.ts";
import { openSocksTunnel } from "./socks-tunnel.ts";
import { secureContextOf } from "./tls-options.ts";

/** How long a connection to a proxy may take, and what ends it. */
export interface ProxyConnectOptions {
  /** Milliseconds. */
  readonly timeout: number;
  /** Whether HTTP/2 is offered to the host behind the proxy; the proxy itself is never. */
  readonly allowH2: boolean;
  readonly signal: AbortSignal;
}

/** How the host behind the proxy proves itself; the same as without a proxy. */
export interface TargetTls {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
}

/** Connects to what is asked for through a tunnel of the proxy; TLS is spoken inside of it. */
export function tunnelConnector(
  proxy: Proxy,
  target: TargetTls | undefined,
  options: ProxyConnectOptions,
): buildConnector.connector {
  // One for all connections, since it keeps the sessions of TLS.
  const { timeout, allowH2 } = options;
  const secure = buildConnector({ ...target, timeout, allowH2 });
  const open = proxy.url.protocol.startsWith("socks") ? openSocksTunnel : openHttpTunnel;
  return connectorOf(async (wanted) => {
    const { hostname: host, protocol } = wanted;
    const port = Number(wanted.port) || (protocol === "https:" ? 443 : 80);
    const socket = await open(proxy, { host, port }, options);
    if (protocol !== "https:") return socket;
    return connectWith(secure, { ...wanted, httpSocket: socket });
  });
}

/** Connects to the proxy itself, for requests that it is to pass on. */
export function forwardConnector(
  proxy: Proxy,
  { timeout }: ProxyConnectOptions,
): buildConnector.connector {
  return connectorOf(async (wanted) => {
    const isTls = proxy.url.protocol === "https:";
    const tls = isTls && { secureContext: secureContextOf(await proxy.tls()) };
    try {
      return await connectWith(buildConnector({ timeout, allowH2: false, ...tls }), wanted);
    } catch (error) {
      throw proxyUnreachable(proxy, error);
    }
  });
}

async function openHttpTunnel(
  proxy: Proxy,
  { host, port }: { readonly host: string; readonly port: number },
  { timeout, signal }: ProxyConnectOptions,
): Promise<Socket> {
  const { url } = proxy;
  const isTls = url.protocol === "https:";
  const tls = isTls ? await proxy.tls() : undefined;
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  // Loaded here, since it brings half of Node's own modules along.
  const { request } = isTls ? await import("node:https") : await import("node:http");
  const asked = request({
    method: "CONNECT",
    host: url.hostname.replace(/^\[(.*)\]$/u, "$1"),
    port: url.port || (isTls ? 443 : 80),
    path: authority,
    headers: { host: authority, ...proxyHeaders(proxy.login) },
    agent: false,
    signal,
    ...(isTls && { secureContext: secureContextOf(tls), rejectUnauthorized: true }),
  });
  const timer = setTimeout(() => {
    asked.destroy(proxyFailed(proxy, `does not answer in ${timeout} ms`));
  }, timeout);
  asked.once("error", (error) => reject(proxyUnreachable(proxy, error)));
  asked.once("response", (response) => {
    response.destroy();
    reject(proxyRefused(proxy, response.statusCode ?? 0));
  });
  asked.once("connect", (response, socket: Socket, head) => {
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300 && head.byteLength === 0) return resolve(socket);
    socket.destroy();
    // Nobody was asked yet, so it is not the registry that talks.
    if (statusCode < 300) reject(proxyFailed(proxy, "sends bytes before it is asked for any"));
    else reject(proxyRefused(proxy, statusCode));
  });
  asked.end();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
