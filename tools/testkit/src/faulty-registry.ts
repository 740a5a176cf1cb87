import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { SecureVersion, TLSSocket } from "node:tls";

import type { CertificateFiles } from "./certificate.ts";
import { play, type Step } from "./faulty-answer.ts";

/** A request as it came. */
export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** When it was here, on the monotonic clock, so that requests to several servers have an order. */
  readonly at: number;
  /** How many with this method and path there have been, this one included. */
  readonly nth: number;
  /** The client's end of the connection, so that a test can tell connections apart. */
  readonly peerPort: number;
  /** The common name of the client's certificate, if it showed one. */
  readonly clientName?: string;
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
  /** What goes wrong, in one word. */
  readonly fault?: Fault | undefined;
  /** What goes wrong, step by step; what is left of the body follows. */
  readonly do?: readonly Step[];
}

/** Which requests a {@link Rule} is for; whatever is left out does not matter. */
export interface RequestMatch {
  /** The path with its query as it is, or what matches it. */
  readonly path?: string | RegExp;
  readonly method?: string;
  /** Headers by their names in lower case. */
  readonly headers?: Readonly<Record<string, RegExp>>;
  /** The first, second, … of those that the rest holds for and that no earlier rule has taken. */
  readonly nth?: number;
}

/** Steps for the requests that it is for. */
export interface Rule {
  readonly match?: RequestMatch;
  readonly do: readonly Step[];
}

/** TLS as this server speaks it. */
export interface FaultyTls extends CertificateFiles {
  /** The file of the authority whose clients are let in; nobody else is then. */
  readonly clientAuthority?: string;
  /** The only version that is spoken. */
  readonly version?: SecureVersion;
  /** The protocols to choose from. @defaultValue `["http/1.1"]` */
  readonly protocols?: readonly string[];
}

export interface FaultyRegistryOptions {
  /** Asked at each request that no rule is for; 404 where it has no answer. */
  readonly script?: (
    request: RecordedRequest,
  ) => Promise<ScriptedAnswer | undefined> | ScriptedAnswer | undefined;
  /** The first that matches decides. More may be added, or taken away, while it runs. */
  readonly rules?: readonly Rule[];
  readonly tls?: FaultyTls;
  /** Of the loopback; several servers at one port are several hosts. @defaultValue `127.0.0.1` */
  readonly address?: string;
  /** Listens at this Unix socket, and at no address. */
  readonly socketPath?: string;
  /** What clients call it. @defaultValue its address */
  readonly name?: string;
  /** Milliseconds for which a connection without a request is kept. @defaultValue 5000 */
  readonly keepAlive?: number;
}

/** A running server; it ends with its scope, and its connections with it. */
export interface FaultyRegistry extends AsyncDisposable {
  /** Name and port. */
  readonly host: string;
  readonly url: string;
  /** In the order of their coming. */
  readonly requests: RecordedRequest[];
  readonly rules: Rule[];
  /** Connections that have been made, with a request or without. */
  readonly accepted: number;
  /** Connections that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** What clients offered to speak over TLS. */
  readonly offered: ReadonlySet<string>;
  /** Presents another certificate to the connections to come. */
  rotate(files: CertificateFiles): Promise<void>;
}

/** Starts a real HTTP server on the loopback that misbehaves as it is told. */
export async function startFaultyRegistry(
  options: FaultyRegistryOptions = {},
): Promise<FaultyRegistry> {
  const { address = "127.0.0.1", keepAlive = 5000, tls, script = () => undefined } = options;
  const requests: RecordedRequest[] = [];
  const rules = [...(options.rules ?? [])];
  const counts = new Map<Rule, number>();
  const sockets = new Set<Socket>();
  const offered = new Set<string>();
  let accepted = 0;
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const answer = async (): Promise<void> => {
      const recorded = await record(request, requests);
      const rule = rules.find((candidate) => matches(candidate, recorded, counts));
      const scripted: ScriptedAnswer = rule ?? (await script(recorded)) ?? { status: 404 };
      await play(response, stepsOf(scripted), request.method === "HEAD");
    };
    answer().catch(() => response.destroy());
  };
  const server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer(await tlsOptions(tls, offered), listener);
  server.keepAliveTimeout = keepAlive;
  server.on("connection", (socket: Socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  if (options.socketPath === undefined) server.listen(0, address);
  else server.listen(options.socketPath);
  await once(server, "listening");
  const place = server.address() as AddressInfo | string;
  const port = typeof place === "string" ? "" : `:${place.port}`;
  const host = `${options.name ?? address}${port}`;
  return {
    host,
    url: `${tls ? "https" : "http"}://${host}`,
    requests,
    rules,
    sockets,
    offered,
    get accepted() {
      return accepted;
    },
    async rotate(files) {
      if ("setSecureContext" in server) server.setSecureContext(await pemOf(files));
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function matches(
  rule: Rule,
  { method, path, headers }: RecordedRequest,
  counts: Map<Rule, number>,
): boolean {
  const { match = {} } = rule;
  if (match.method !== undefined && match.method !== method) return false;
  if (typeof match.path === "string" && match.path !== path) return false;
  if (match.path instanceof RegExp && !match.path.test(path)) return false;
  const wanted = Object.entries(match.headers ?? {});
  if (wanted.some(([name, value]) => !value.test(String(headers[name] ?? "")))) return false;
  const count = (counts.get(rule) ?? 0) + 1;
  counts.set(rule, count);
  return match.nth === undefined || match.nth === count;
}

function stepsOf(answer: ScriptedAnswer): readonly Step[] {
  const { status, headers, body, fault } = answer;
  return [
    ...(status === undefined ? [] : [{ status }]),
    ...(headers === undefined ? [] : [{ headers }]),
    ...(body === undefined ? [] : [{ body }]),
    ...(fault === undefined ? [] : stepsOfFault(fault)),
    ...(answer.do ?? []),
  ];
}

function stepsOfFault(fault: Fault): readonly Step[] {
  if (fault.type === "flip") return [{ flipBit: fault.bit }];
  if (fault.type === "reset") return [{ fin: true }];
  return [{ sendBytes: fault.after }, fault.type === "cut" ? { fin: true } : { stall: true }];
}

async function tlsOptions(tls: FaultyTls, offered: Set<string>): Promise<ServerOptions> {
  const { clientAuthority, version, protocols: spoken = ["http/1.1"] } = tls;
  return {
    ...(await pemOf(tls)),
    ...(clientAuthority !== undefined && {
      ca: await readFile(clientAuthority),
      requestCert: true,
      rejectUnauthorized: true,
    }),
    // OpenSSL's own default refuses what is older than 1.2 on both sides.
    ...(version !== undefined && {
      minVersion: version,
      maxVersion: version,
      ciphers: "DEFAULT@SECLEVEL=0",
    }),
    ALPNCallback: ({ protocols }) => {
      for (const protocol of protocols) offered.add(protocol);
      return spoken.find((protocol) => protocols.includes(protocol));
    },
  };
}

async function pemOf({ certificate, key }: CertificateFiles) {
  return { cert: await readFile(certificate), key: await readFile(key) };
}

async function record(
  request: IncomingMessage,
  requests: RecordedRequest[],
): Promise<RecordedRequest> {
  const { method = "", url: path = "", headers, socket } = request;
  const { remotePort: peerPort = 0 } = socket;
  const clientName = clientNameOf(socket);
  const chunks: Uint8Array[] = await request.toArray();
  const before = requests.filter((other) => other.method === method && other.path === path);
  const recorded = {
    method,
    path,
    headers,
    body: Buffer.concat(chunks),
    at: performance.now(),
    nth: before.length + 1,
    peerPort,
    ...(clientName !== undefined && { clientName }),
  };
  requests.push(recorded);
  return recorded;
}

function clientNameOf(socket: Socket): string | undefined {
  if (!("getPeerCertificate" in socket)) return undefined;
  const { subject } = (socket as TLSSocket).getPeerCertificate();
  return typeof subject?.CN === "string" ? subject.CN : undefined;
}
