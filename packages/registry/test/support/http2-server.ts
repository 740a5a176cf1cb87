import { once } from "node:events";
import { readFileSync } from "node:fs";
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";

import type { Certificates } from "@stowage/testkit";

/** What a stream was asked, and how it ended. */
export interface Http2Request {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Which of the connections, counted from 0. */
  readonly connection: number;
  readonly stream: ServerHttp2Stream;
  /** The common name of the client's certificate. */
  readonly clientName: string | undefined;
  readonly body: Buffer[];
}

export type Http2Script = (request: Http2Request, session: ServerHttp2Session) => void;

/** A real HTTP/2 server over TLS that does as a test tells it. */
export interface Http2Server extends AsyncDisposable {
  readonly host: string;
  readonly requests: Http2Request[];
  readonly sessions: ServerHttp2Session[];
}

export interface Http2ServerOptions {
  readonly files: Certificates;
  readonly settings?: Settings;
  /** Clients must prove who they are. */
  readonly wantsClient?: boolean;
}

export async function serveHttp2(
  script: Http2Script,
  { files, settings, wantsClient = false }: Http2ServerOptions,
): Promise<Http2Server> {
  const requests: Http2Request[] = [];
  const sessions: ServerHttp2Session[] = [];
  const sockets = new Set<Socket>();
  const { certificate, key } = files.server;
  const server = createSecureServer({
    cert: readFileSync(certificate),
    key: readFileSync(key),
    allowHTTP1: false,
    ...(settings && { settings }),
    ...(wantsClient && { ca: readFileSync(files.authority), requestCert: true }),
  });
  server.on("connection", (socket: Socket) => void sockets.add(socket));
  server.on("session", (session) => {
    session.on("error", () => {});
    sessions.push(session);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    const { session } = stream;
    if (session === undefined) return;
    const socket = session.socket as TLSSocket;
    const name: unknown = socket.getPeerCertificate().subject?.CN;
    const request: Http2Request = {
      method: String(headers[":method"]),
      path: String(headers[":path"]),
      headers,
      connection: sessions.indexOf(session as ServerHttp2Session),
      stream,
      clientName: typeof name === "string" ? name : undefined,
      body: [],
    };
    requests.push(request);
    if (request.method === "GET" || request.method === "HEAD") {
      return script(request, session as ServerHttp2Session);
    }
    stream.on("data", (chunk: Buffer) => request.body.push(chunk));
    stream.on("end", () => script(request, session as ServerHttp2Session));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    sessions,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** The types of frames (RFC 9113, 6). */
export const FRAME = { headers: 1, settings: 4, ping: 6, continuation: 9 } as const;

/** One frame, as its bytes are. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A server that speaks TLS, says that it has HTTP/2, and then sends what bytes it is told to. */
export async function serveRawHttp2(
  talk: (socket: TLSSocket, nth: number) => void,
  files: Certificates,
): Promise<AsyncDisposable & { readonly host: string; readonly accepted: () => number }> {
  const { certificate, key } = files.server;
  const sockets = new Set<TLSSocket>();
  let accepted = 0;
  const server = createTlsServer(
    { cert: readFileSync(certificate), key: readFileSync(key), ALPNProtocols: ["h2"] },
    (socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      talk(socket, accepted++);
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    accepted: () => accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}
