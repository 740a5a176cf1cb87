import { once } from "node:events";
import { createServer, type IncomingMessage, request as httpRequest, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, createServer as createRawServer, type Socket } from "node:net";

export interface ProxyRequest {
  /** `CONNECT host:port`, `GET http://…`, or `SOCKS host:port`. */
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
}

/** A proxy on the loopback to which every name is a host on the loopback. */
export interface ProxyServer extends AsyncDisposable {
  readonly port: number;
  readonly requests: readonly ProxyRequest[];
}

export interface ProxyOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  /** `user:password` that it wants to see. */
  readonly login?: string;
}

/** A proxy of HTTP: `CONNECT`, and requests for whole URLs that it passes on. */
export async function startHttpProxy(options: ProxyOptions = {}): Promise<ProxyServer> {
  const requests: ProxyRequest[] = [];
  const server: Server = options.tls ? createTlsServer(options.tls) : createServer();
  const wanted = options.login && `Basic ${Buffer.from(options.login).toString("base64")}`;
  const note = ({ method, url, headers }: IncomingMessage): boolean => {
    requests.push({ line: `${method} ${url}`, headers });
    return wanted === undefined || headers["proxy-authorization"] === wanted;
  };
  server.on("request", (request, response) => {
    if (!note(request)) return response.writeHead(407).end();
    const { port, pathname, search } = new URL(request.url ?? "");
    const { "proxy-authorization": _login, ...headers } = request.headers;
    const path = `${pathname}${search}`;
    const target = { host: "127.0.0.1", port, path, method: request.method, headers };
    const onward = httpRequest(target, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    return request.pipe(onward);
  });
  server.on("connect", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => {});
    if (!note(request)) {
      return socket.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    }
    return tunnel(socket, request.url ?? "", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      if (head.byteLength > 0) socket.unshift(head);
    });
  });
  return listen(server, requests);
}

/** A proxy of SOCKS 5. */
export async function startSocksProxy(options: ProxyOptions = {}): Promise<ProxyServer> {
  const requests: ProxyRequest[] = [];
  const server = createRawServer((socket) => {
    socket.on("error", () => {});
    socksSession(socket, options.login, requests).catch(() => socket.destroy());
  });
  return listen(server, requests);
}

/** A proxy that writes these bytes to whoever asks, and then nothing or the end. */
export async function startBrokenProxy(answer: string | undefined): Promise<ProxyServer> {
  const requests: ProxyRequest[] = [];
  const server = createRawServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      requests.push({ line: chunk.toString().split("\r\n", 1)[0] ?? "", headers: {} });
      if (answer === "") socket.destroy();
      else if (answer !== undefined) socket.write(answer);
    });
  });
  return listen(server, requests);
}

async function socksSession(
  socket: Socket,
  login: string | undefined,
  requests: ProxyRequest[],
): Promise<void> {
  const read = async (length: number): Promise<Buffer> => {
    for (;;) {
      const chunk: Buffer | null = socket.read(length);
      if (chunk !== null) return chunk;
      await once(socket, "readable");
    }
  };
  const methods = await read((await read(2))[1] ?? 0);
  const method = login === undefined ? 0 : 2;
  if (!methods.includes(method)) return void socket.end(Buffer.from([5, 255]));
  socket.write(Buffer.from([5, method]));
  if (login !== undefined) {
    const user = await read((await read(2))[1] ?? 0);
    const password = await read((await read(1))[0] ?? 0);
    const isRight = `${user.toString()}:${password.toString()}` === login;
    socket.write(Buffer.from([1, isRight ? 0 : 1]));
    if (!isRight) return void socket.end();
  }
  const name = await read((await read(5))[4] ?? 0);
  const authority = `${name.toString()}:${(await read(2)).readUInt16BE()}`;
  requests.push({ line: `SOCKS ${authority}`, headers: {} });
  return tunnel(socket, authority, () =>
    socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0])),
  );
}

function tunnel(socket: Socket, authority: string, onOpen: () => void): void {
  const onward = connect(Number(authority.split(":").at(-1)), "127.0.0.1", () => {
    onOpen();
    socket.pipe(onward).pipe(socket);
  });
  onward.on("error", () => socket.destroy());
  socket.on("close", () => onward.destroy());
}

async function listen(
  server: Server | ReturnType<typeof createRawServer>,
  requests: readonly ProxyRequest[],
): Promise<ProxyServer> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
