import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

import type { CertificateFiles } from "./certificate.ts";

/** The head of a request, as text. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  /** All before the empty line, one character for each byte. */
  readonly head: string;
  /** How many there have been, this one included. */
  readonly nth: number;
}

export interface RawServerOptions {
  /** Called at each request, and may write whatever it likes. */
  readonly onRequest?: (socket: Socket, request: RawRequest) => void;
  /** Called at each connection, before anybody has said a word. */
  readonly onConnection?: (socket: Socket) => void;
  readonly tls?: CertificateFiles;
  /** @defaultValue `127.0.0.1` */
  readonly address?: string;
}

/** A server that writes bytes; it ends with its scope, and its connections with it. */
export interface RawServer extends AsyncDisposable {
  readonly host: string;
  readonly url: string;
  readonly requests: readonly RawRequest[];
  /** All that has come in, one character for each byte. */
  readonly received: string;
}

/** Starts a server for what no HTTP library would send. */
export async function startRawServer(options: RawServerOptions): Promise<RawServer> {
  const { onRequest, onConnection, tls, address = "127.0.0.1" } = options;
  const requests: RawRequest[] = [];
  const sockets = new Set<Socket>();
  let received = "";
  const attend = (socket: Socket): void => {
    let text = "";
    // Clients go away from what they cannot read.
    socket.on("error", () => socket.destroy());
    onConnection?.(socket);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        const [method = "", path = ""] = head.split(" ");
        text = text.slice(end + 4);
        const request = { method, path, head, nth: requests.length + 1 };
        requests.push(request);
        onRequest?.(socket, request);
      }
    });
  };
  const server =
    tls === undefined
      ? createServer(attend)
      : createTlsServer(
          { cert: await readFile(tls.certificate), key: await readFile(tls.key) },
          attend,
        );
  // Below TLS, so that a handshake that never ends is closed as well.
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, address);
  await once(server, "listening");
  const host = `${address}:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `${tls ? "https" : "http"}://${host}`,
    requests,
    get received() {
      return received;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
