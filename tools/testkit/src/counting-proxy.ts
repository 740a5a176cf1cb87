import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface CountingProxyOptions {
  /** Address and port of what stands behind it. */
  readonly target: string;
  /** The most that one connection carries towards the client in a second. @defaultValue no limit */
  readonly connectionRate?: number | undefined;
  /** The most that all carry together in a second. @defaultValue no limit */
  readonly linkRate?: number | undefined;
  /** Told the sum whenever it has grown. */
  readonly onBytes?: (total: number) => void;
}

/** A proxy that is listening; it ends with its scope, and its connections with it. */
export interface CountingProxy extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  /** Bytes that went towards clients, of all connections together. */
  readonly bytes: number;
  /** The most connections that there were at once. */
  readonly mostConnections: number;
}

// What a timer that comes late may make good, in milliseconds.
const LATENESS = 50;

/** Passes TCP connections on, and counts what comes back: what a server had to send, exactly. */
export async function startCountingProxy(options: CountingProxyOptions): Promise<CountingProxy> {
  const { onBytes, connectionRate, linkRate } = options;
  const link = paceOf(linkRate);
  const [address = "", port = ""] = options.target.split(":");
  const sockets = new Set<Socket>();
  let bytes = 0;
  let mostConnections = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), address);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => sockets.delete(socket));
    }
    client.once("close", () => upstream.destroy());
    mostConnections = Math.max(mostConnections, sockets.size / 2);
    client.pipe(upstream);
    const count = (length: number): void => {
      bytes += length;
      onBytes?.(bytes);
    };
    void passBack(upstream, client, count, [link, paceOf(connectionRate)]);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get bytes() {
      return bytes;
    },
    get mostConnections() {
      return mostConnections;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function passBack(
  from: Socket,
  to: Socket,
  count: (length: number) => void,
  paces: readonly Pace[],
): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (const pace of paces) await pace(chunk.length);
      // Counted before anybody can act upon their arrival.
      count(chunk.length);
      if (to.destroyed) return;
      if (!to.write(chunk)) await drained(to);
    }
    to.end();
  } catch {
    // Either end was cut, and so is the other.
    to.resetAndDestroy();
  }
}

/** Resolves when so many bytes may go. */
type Pace = (bytes: number) => Promise<void>;

function paceOf(rate: number | undefined): Pace {
  let due = performance.now();
  return async (bytes) => {
    if (rate === undefined) return;
    due = Math.max(due, performance.now() - LATENESS) + (1000 * bytes) / rate;
    const left = due - performance.now();
    if (left > 0) await sleep(left);
  };
}

async function drained(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once("drain", resolve).once("close", resolve);
  await promise;
  socket.off("drain", resolve).off("close", resolve);
}
