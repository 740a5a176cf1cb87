import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

import type { CertificateFiles } from "./certificate.ts";

/** A request as it came. */
export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** How many with this method and path there have been, this one included. */
  readonly nth: number;
}

/** What to do to an answer. */
export type Fault =
  /** Ends the connection after so many bytes of the body, the length promised being the whole's. */
  | { readonly type: "cut"; readonly after: number }
  /** Sends so many bytes of the body and then nothing more, keeping the connection. */
  | { readonly type: "stall"; readonly after: number }
  /** Inverts one bit of the body, counted from its first. */
  | { readonly type: "flip"; readonly bit: number }
  /** Ends the connection without an answer. */
  | { readonly type: "reset" };

/** What to answer. */
export interface ScriptedAnswer {
  /** @defaultValue 200 */
  readonly status?: number;
  /** Whatever they say is sent. `content-length` is that of the body unless it is said, too. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  readonly fault?: Fault | undefined;
}

export interface FaultyRegistryOptions {
  /** Asked at each request; 404 where it has no answer. */
  readonly script: (
    request: RecordedRequest,
  ) => Promise<ScriptedAnswer | undefined> | ScriptedAnswer | undefined;
  readonly tls?: CertificateFiles;
}

/** A running server; it ends with its scope, and its connections with it. */
export interface FaultyRegistry extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  readonly url: string;
  /** In the order of their coming. */
  readonly requests: readonly RecordedRequest[];
}

/** Starts a real HTTP server on the loopback that misbehaves as it is told. */
export async function startFaultyRegistry(options: FaultyRegistryOptions): Promise<FaultyRegistry> {
  const requests: RecordedRequest[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    record(request, requests)
      .then(options.script)
      .then((answer = { status: 404 }) => send(response, answer, request.method === "HEAD"))
      .catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  };
  const server =
    options.tls === undefined
      ? createServer(listener)
      : createTlsServer(
          { cert: await readFile(options.tls.certificate), key: await readFile(options.tls.key) },
          listener,
        );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `${options.tls ? "https" : "http"}://${host}`,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function record(
  request: IncomingMessage,
  requests: RecordedRequest[],
): Promise<RecordedRequest> {
  const { method = "", url: path = "", headers } = request;
  const chunks: Uint8Array[] = await request.toArray();
  const before = requests.filter((other) => other.method === method && other.path === path);
  const recorded = { method, path, headers, body: Buffer.concat(chunks), nth: before.length + 1 };
  requests.push(recorded);
  return recorded;
}

function send(response: ServerResponse, answer: ScriptedAnswer, isHead: boolean): void {
  const { status = 200, headers = {}, fault } = answer;
  if (fault?.type === "reset") {
    response.destroy();
    return;
  }
  const body = Buffer.from(answer.body ?? "");
  const sent = fault?.type === "flip" ? flipBit(body, fault.bit) : body;
  response.writeHead(status, {
    "content-length": String(body.length),
    ...Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name.toLowerCase(),
        typeof value === "string" ? value : [...value],
      ]),
    ),
  });
  if (isHead) {
    response.end();
  } else if (fault?.type === "cut" || fault?.type === "stall") {
    response.flushHeaders();
    response.write(sent.subarray(0, fault.after), () => {
      if (fault.type === "cut") response.destroy();
    });
  } else {
    response.end(sent);
  }
}

function flipBit(body: Buffer, bit: number): Buffer {
  const at = Math.floor(bit / 8);
  const byte = body[at];
  if (byte === undefined) throw new RangeError(`no bit ${bit} in ${body.length} bytes`);
  return Buffer.from(body.with(at, byte ^ (1 << (bit % 8))));
}
