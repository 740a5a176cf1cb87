import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream";

/** Stands before a registry and notes what it is asked; it ends with its scope. */
export interface RequestLog extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  /** Methods and paths since it was asked last. */
  take(): readonly string[];
}

/** @param target - Address and port of the registry. */
export async function startRequestLog(target: string): Promise<RequestLog> {
  const seen: string[] = [];
  const server = createServer((incoming, answer) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    passOn(incoming, answer, target);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => seen.splice(0),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function passOn(incoming: IncomingMessage, answer: ServerResponse, target: string): void {
  const { method, url, headers } = incoming;
  const upstream = request(`http://${target}${url}`, { method, headers: { ...headers } });
  upstream.once("response", (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers);
    pipeline(response, answer, () => {});
  });
  upstream.once("error", () => answer.destroy());
  pipeline(incoming, upstream, () => {});
}
