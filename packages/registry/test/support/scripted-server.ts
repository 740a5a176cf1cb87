import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createRawServer, type Server as RawServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

/** A real HTTP server that answers as a test tells it, and records what it was asked. */
export class ScriptedServer implements AsyncDisposable {
  readonly requests: Recorded[] = [];
  readonly sockets = new Set<Socket>();
  readonly host: string;
  readonly origin: string;
  readonly #server: Server | RawServer;

  constructor(server: Server | RawServer, scheme: string, name: string) {
    this.#server = server;
    this.host = `${name}:${(server.address() as AddressInfo).port}`;
    this.origin = `${scheme}://${this.host}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

export interface ServeOptions {
  readonly tls?: {
    readonly cert: string;
    readonly key: string;
    readonly requestCert?: boolean;
    readonly rejectUnauthorized?: boolean;
  };
  /** The name that clients call it by. */
  readonly name?: string;
}

export type Script = (
  request: IncomingMessage,
  response: ServerResponse,
  server: ScriptedServer,
) => void;

export async function serve(script: Script, options: ServeOptions = {}): Promise<ScriptedServer> {
  const { tls, name = "127.0.0.1" } = options;
  const listener: RequestListener = (request, response) => {
    const { method = "", url = "", headers } = request;
    scripted.requests.push({ method, path: url, headers });
    script(request, response, scripted);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.on("connection", (socket: Socket) => track(socket, scripted));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const scripted = new ScriptedServer(server, tls === undefined ? "http" : "https", name);
  return scripted;
}

/** A server that writes any bytes, for what node:http would refuse to send. */
export async function serveRaw(
  script: (socket: Socket, request: string, server: ScriptedServer) => void,
): Promise<ScriptedServer> {
  const server = createRawServer((socket) => {
    track(socket, scripted);
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = text.slice(0, end);
      text = text.slice(end + 4);
      const [method = "", path = ""] = head.split(" ");
      scripted.requests.push({ method, path, headers: {} });
      script(socket, head, scripted);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const scripted = new ScriptedServer(server, "http", "127.0.0.1");
  return scripted;
}

function track(socket: Socket, server: ScriptedServer): void {
  server.sockets.add(socket);
  socket.once("close", () => server.sockets.delete(socket));
}
