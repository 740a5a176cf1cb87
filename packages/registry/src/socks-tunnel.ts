/**
 * A client of SOCKS 5 proxies: names are resolved by the proxy.
 *
 * @see https://www.rfc-editor.org/rfc/rfc1928
 * @see https://www.rfc-editor.org/rfc/rfc1929
 * @module
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

import { socksLogin } from "./auth/auth-gate.ts";
import type { Proxy } from "./proxy.ts";
import { proxyFailed, proxyUnreachable } from "./proxy-failure.ts";

const VERSION = 5;
const NO_LOGIN = 0;
const PASSWORD = 2;
const DEFAULT_PORT = 1080;
const REPLIES: Readonly<Record<number, string>> = {
  1: "failed",
  2: "does not allow this host",
  3: "cannot reach the network",
  4: "cannot reach the host",
  5: "was refused by the host",
  6: "gave the host up",
};

/** Opens a tunnel to a host by its name. */
export async function openSocksTunnel(
  proxy: Proxy,
  { host, port }: { readonly host: string; readonly port: number },
  { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
): Promise<Socket> {
  const { url } = proxy;
  const address = url.hostname.replace(/^\[(.*)\]$/u, "$1");
  const socket = connect({ host: address, port: Number(url.port) || DEFAULT_PORT });
  const giveUp = (): void => {
    socket.destroy(proxyFailed(proxy, `does not answer in ${timeout} ms`));
  };
  const timer = setTimeout(giveUp, timeout);
  const abort = (): void => void socket.destroy(proxyFailed(proxy, "was given up"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    await once(socket, "connect");
    const read = reader(socket);
    await logIn(proxy, socket, read);
    const name = Buffer.from(host);
    const head = [VERSION, 1, 0, 3, name.byteLength];
    socket.write(Buffer.concat([Buffer.from(head), name, Buffer.from([port >> 8, port & 255])]));
    const [version, reply = 1, , kind] = await read(4);
    if (version !== VERSION || reply !== 0) {
      throw proxyFailed(proxy, REPLIES[reply] ?? "answers nonsense");
    }
    const length = kind === 1 ? 4 : kind === 4 ? 16 : ((await read(1))[0] ?? 0);
    await read(length + 2);
    return socket;
  } catch (error) {
    socket.destroy();
    throw proxyUnreachable(proxy, error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

type Read = (length: number) => Promise<Uint8Array>;

async function logIn(proxy: Proxy, socket: Socket, read: Read): Promise<void> {
  const { login } = proxy;
  const methods = login === undefined ? [NO_LOGIN] : [NO_LOGIN, PASSWORD];
  socket.write(Buffer.from([VERSION, methods.length, ...methods]));
  const [version, method] = await read(2);
  if (version !== VERSION) throw proxyFailed(proxy, "does not speak SOCKS 5");
  if (method === NO_LOGIN) return;
  if (method !== PASSWORD || login === undefined) {
    throw proxyFailed(proxy, "wants a user and a password", "ERR_REGISTRY_AUTH_FAILED");
  }
  const told = socksLogin(login);
  if (told === undefined) {
    throw proxyFailed(proxy, "takes logins of 255 bytes only", "ERR_REGISTRY_AUTH_FAILED");
  }
  socket.write(told);
  const [, status] = await read(2);
  if (status !== 0) throw proxyFailed(proxy, "refuses the login", "ERR_REGISTRY_AUTH_FAILED");
}

/** Reads exactly so many bytes, and leaves what follows in the socket. */
function reader(socket: Socket): Read {
  return async (length) => {
    for (;;) {
      const chunk: Buffer | null = length === 0 ? Buffer.alloc(0) : socket.read(length);
      if (chunk !== null && chunk.byteLength === length) return chunk;
      if (socket.readableEnded || socket.destroyed || chunk !== null) {
        throw new Error("the connection ended too early");
      }
      await readable(socket);
    }
  };
}

async function readable(socket: Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket
    .once("readable", resolve)
    .once("end", resolve)
    .once("close", resolve)
    .once("error", reject);
  try {
    await promise;
  } finally {
    socket.off("readable", resolve).off("end", resolve).off("close", resolve).off("error", reject);
  }
}
