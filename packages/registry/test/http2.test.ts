import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:http2";

import { MEDIA_TYPE } from "@stowage/content";
import { parseTag } from "@stowage/reference";
import { loadProxies, type RepositoryClient } from "@stowage/registry";
import { startFaultyRegistry } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { startHttpProxy, startSocksProxy } from "./support/proxy-server.ts";
import {
  answerBlob,
  beginBlob,
  type Http2World,
  openHttp2World,
  randomBlob,
  type TestBlob,
} from "./support/http2-world.ts";
import { FRAME, frame, serveRawHttp2 } from "./support/http2-server.ts";
import { makeImage } from "./support/images.ts";

const LATEST = parseTag("latest");
const { manifest: MANIFEST } = makeImage([]);
const BLOB = randomBlob(3_000_000);
const HALF = 1_500_000;
const SETTINGS = frame(FRAME.settings, 0, 0, Buffer.alloc(0));
const NOTHING = Buffer.alloc(0);
// `:status: 200` of the table that everybody has.
const STATUS_200 = Buffer.from([0x88]);

let world: Http2World;

beforeAll(async () => {
  world = await openHttp2World();
});

afterAll(() => world[Symbol.asyncDispose]());

describe("HTTP/2", () => {
  test("carries manifests, blobs and uploads, many at once over one connection", async () => {
    const blobs = Array.from({ length: 6 }, () => randomBlob(300_000));
    const server = await world.serve((request) => {
      const { stream, method, path } = request;
      const blob = blobs.find(({ descriptor }) => path.includes(descriptor.digest));
      if (method === "GET" && blob !== undefined) return answerBlob(request, blob.bytes);
      if (method === "GET") {
        stream.respond({ "content-type": MEDIA_TYPE.imageManifest });
        return stream.end(MANIFEST);
      }
      const location = "/v2/team/app/blobs/uploads/1?state=a";
      const status = { HEAD: 404, POST: 202, PUT: 201 }[method] ?? 500;
      stream.respond({ ":status": status, ...(method === "POST" && { location }) });
      return stream.end();
    });
    const repository = world.repository(server.host);
    await repository.fetchManifest(LATEST);
    await Promise.all(blobs.map((blob) => read(repository, blob)));
    const { descriptor, bytes } = BLOB;
    const openContent = async function* () {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
    };
    expect(await repository.pushBlob(descriptor, { openContent })).toBe("uploaded");
    const put = server.requests.find(({ method }) => method === "PUT");
    expect(Buffer.concat(put?.body ?? []).equals(bytes)).toBe(true);
    expect(server.sessions).toHaveLength(1);
  });

  test("is not spoken where nobody asked for it, or where the server does not", async () => {
    const protocols = ["h2", "http/1.1"];
    await using both = await startFaultyRegistry({ tls: { ...world.files.server, protocols } });
    both.rules.push({ do: [{ body: MANIFEST }] });
    await world.repository(both.host, { http2: undefined }).fetchManifest(LATEST);
    expect([...both.offered]).toEqual(["http/1.1"]);
    await using old = await startFaultyRegistry({ tls: world.files.server });
    old.rules.push({ do: [{ body: MANIFEST }] });
    const repository = world.repository(old.host);
    await Promise.all([1, 2, 3].map(() => repository.fetchManifest(LATEST)));
    expect([...old.offered].toSorted()).toEqual(["h2", "http/1.1"]);
    expect(old.requests).toHaveLength(3);
  });

  test.for(["none", "http", "socks5"] as const)(
    "C17 V10 shows the client's certificate to a host of --resolve, behind a proxy: %s",
    async (kind) => {
      const server = await world.serve((request) => answerBlob(request, BLOB.bytes), {
        wantsClient: true,
      });
      await using proxy = kind === "socks5" ? await startSocksProxy() : await startHttpProxy();
      const { certificate, key } = world.files.client;
      const [cert, secret] = [certificate, key].map((path) => readFileSync(path, "utf8"));
      const port = server.host.split(":")[1];
      const how =
        kind === "none"
          ? { resolve: { [`localhost:${port}`]: "127.0.0.1" } }
          : { proxy: proxyFor({ HTTPS_PROXY: `${kind}://127.0.0.1:${proxy.port}` }) };
      const tls = { ca: world.ca, cert: cert ?? "", key: secret ?? "" };
      await read(world.repository(`localhost:${port}`, { tls, ...how }), BLOB);
      expect(server.requests.map(({ clientName }) => clientName)).toEqual(["client"]);
      expect(proxy.requests).toHaveLength(kind === "none" ? 0 : 1);
    },
  );
});

describe("an HTTP/2 server that", () => {
  test("H37 N23 resets a stream midway has it resumed there, and no other stream is disturbed", async () => {
    const calm = randomBlob(2_000_000);
    const server = await world.serve((request) => {
      const { stream, headers, path } = request;
      if (path.includes(calm.descriptor.digest)) return trickle(request, calm);
      if (headers.range !== undefined) return answerBlob(request, BLOB.bytes);
      beginBlob(request, BLOB.bytes);
      return stream.write(BLOB.bytes.subarray(0, HALF), () => {
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      });
    });
    const repository = world.repository(server.host, { maxRangesPerBlob: 1 });
    await Promise.all([read(repository, BLOB), read(repository, calm)]);
    const ranges = server.requests.map(({ headers }) => headers.range);
    expect(ranges.filter((range) => range !== undefined)).toEqual([`bytes=${HALF}-`]);
    expect([server.requests.length, server.sessions.length]).toEqual([3, 1]);
  });

  test("H37 N23 goes away midway and drops the connection has it resumed over another", async () => {
    const server = await world.serve((request, session) => {
      if (request.headers.range !== undefined) return answerBlob(request, BLOB.bytes);
      beginBlob(request, BLOB.bytes);
      return request.stream.write(BLOB.bytes.subarray(0, HALF), () => {
        session.goaway(constants.NGHTTP2_INTERNAL_ERROR);
        setTimeout(() => session.destroy(), 10);
      });
    });
    await read(world.repository(server.host, { maxRangesPerBlob: 1 }), BLOB);
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test("N23 says that it goes away is let finish, and asked over another connection from then on", async () => {
    const server = await world.serve((request, session) => {
      if (request.connection > 0) return answerBlob(request, BLOB.bytes);
      beginBlob(request, BLOB.bytes);
      return request.stream.write(BLOB.bytes.subarray(0, HALF), () => {
        session.goaway(constants.NGHTTP2_NO_ERROR);
        request.stream.end(BLOB.bytes.subarray(HALF));
      });
    });
    const repository = world.repository(server.host);
    await read(repository, BLOB);
    await read(repository, BLOB);
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test("H37 refuses a stream, or resets it before an answer, is asked again", async () => {
    const codes = [constants.NGHTTP2_REFUSED_STREAM, constants.NGHTTP2_ENHANCE_YOUR_CALM];
    const server = await world.serve((request) => {
      const code = codes.shift();
      if (code === undefined) answerBlob(request, BLOB.bytes);
      else request.stream.close(code);
    });
    await read(world.repository(server.host), BLOB);
    expect(server.requests).toHaveLength(3);
  });

  test("N23 takes one stream at a time, or none at all, serves all or fails in time", async () => {
    const blobs = Array.from({ length: 4 }, () => randomBlob(200_000));
    const one = await world.serve(
      (request) => {
        const blob = blobs.find(({ descriptor }) => request.path.includes(descriptor.digest));
        answerBlob(request, blob?.bytes ?? Buffer.alloc(0));
      },
      { maxStreams: 1 },
    );
    const repository = world.repository(one.host);
    await Promise.all(blobs.map((blob) => read(repository, blob)));
    const none = await world.serve(() => {}, { maxStreams: 0 });
    const never = world.repository(none.host, { stallTimeout: 300, attempts: 1 });
    await expect(read(never, BLOB)).rejects.toMatchObject({ kind: "PullStalled" });
  });

  test("H37 stops sending within its window has stalled, and its connection serves others", async () => {
    const server = await world.serve((request) => {
      if (request.path.includes("manifests")) return request.stream.end(MANIFEST);
      beginBlob(request, BLOB.bytes);
      const isFirst = request.headers.range === undefined;
      return isFirst && request.stream.write(BLOB.bytes.subarray(0, HALF));
    });
    const repository = world.repository(server.host, { stallTimeout: 300, maxRangesPerBlob: 1 });
    await expect(read(repository, BLOB)).rejects.toMatchObject({ kind: "PullStalled" });
    await repository.fetchManifest(LATEST);
    expect(server.sessions).toHaveLength(1);
  });

  test("announces another length than it sends is not believed", async () => {
    for (const sent of [BLOB.bytes.subarray(0, HALF), Buffer.concat([BLOB.bytes, BLOB.bytes])]) {
      const server = await world.serve(({ stream }) => {
        stream.respond({ "content-length": sent.length < HALF * 2 ? HALF * 2 : HALF });
        stream.end(sent);
      });
      const repository = world.repository(server.host, { attempts: 1, maxRangesPerBlob: 1 });
      await expect(read(repository, BLOB)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_(?:CONTENT_SIZE_MISMATCH|REGISTRY_UNAVAILABLE)$/u),
      });
    }
  });

  test("sends hints without end, and trailers, is refused for the first and not for the others", async () => {
    const hinting = await world.serve(({ stream }) => {
      for (let at = 0; at < 100; at += 1) stream.additionalHeaders({ ":status": 103, "x-at": at });
      stream.end();
    });
    await expect(read(world.repository(hinting.host), BLOB)).rejects.toMatchObject({
      code: "ERR_REGISTRY_PROTOCOL",
    });
    const trailing = await world.serve(({ stream }) => {
      stream.respond({ "content-length": BLOB.bytes.length }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "docker-content-digest": "x" }));
      stream.end(BLOB.bytes);
    });
    await read(world.repository(trailing.host), BLOB);
  });

  test("H35 has several warnings is heard with each of them", async () => {
    const server = await world.serve(({ stream }) => {
      const headers = ["warning", '299 - "one, two"', "warning", '299 - "three"'];
      stream.respond([":status", "200", ...headers]);
      stream.end(MANIFEST);
    });
    await world.repository(server.host).fetchManifest(LATEST);
    const texts = world.events.flatMap((event) => (event.type === "warning" ? [event.text] : []));
    expect(texts).toEqual(["one, two", "three"]);
  });
});

describe("a reader of HTTP/2", () => {
  test("that leaves early ends its stream, and the connection goes on", async () => {
    const server = await world.serve((request) => {
      if (request.path.includes("manifests")) return request.stream.end(MANIFEST);
      return pour(request);
    });
    const repository = world.repository(server.host, { maxRangesPerBlob: 1 });
    const endless = { ...BLOB.descriptor, size: 10_000_000_000 };
    for await (const chunk of repository.openContent(endless)) if (chunk.byteLength > 0) break;
    const left = server.requests[0]?.stream;
    if (left?.closed === false) await once(left, "close");
    await repository.fetchManifest(LATEST);
    expect([left?.closed, server.sessions.length]).toEqual([true, 1]);
  });

  test("that waits holds the server back within 4 MiB, and the stream beside it goes on", async () => {
    let sent = 0;
    const server = await world.serve((request) => {
      if (request.path.includes(BLOB.descriptor.digest)) return answerBlob(request, BLOB.bytes);
      return pour(request, (bytes) => (sent += bytes));
    });
    const repository = world.repository(server.host, { maxRangesPerBlob: 1 });
    const endless = { ...randomBlob(1).descriptor, size: 10_000_000_000 };
    const reading = repository.openContent(endless)[Symbol.asyncIterator]();
    await reading.next();
    // Until it can send no more: another answer of 3 MB comes, and not a byte of this one.
    for (let before = -1; sent > before; await read(repository, BLOB)) before = sent;
    // What the server has handed over and could not send is no more than a few chunks.
    expect(sent).toBeLessThan(6 * 1024 * 1024);
    await reading.return?.();
  });
});

describe("an HTTP/2 server that floods with", () => {
  test.for([
    ["PING", "STALLED|PROTOCOL", frame(FRAME.ping, 0, 0, Buffer.alloc(8)), NOTHING],
    ["SETTINGS", "STALLED|PROTOCOL", SETTINGS, NOTHING],
    [
      "CONTINUATION",
      "UNAVAILABLE|PROTOCOL",
      // A literal header of 400 bytes in each, and never the last one.
      frame(FRAME.continuation, 0, 1, longHeader("a", 400)),
      frame(FRAME.headers, 0, 1, STATUS_200),
    ],
    ["frames of no kind", "PROTOCOL", frame(FRAME.headers, 0xff, 0, Buffer.alloc(9)), NOTHING],
  ] as const)(
    "%s: V13 H37 N23 is closed in time, in bounded memory",
    async ([, code, one, first]) => {
      const closed: Promise<unknown>[] = [];
      await using server = await serveRawHttp2((socket) => {
        closed.push(new Promise((resolve) => socket.once("close", resolve)));
        socket.write(SETTINGS);
        socket.once("data", () => {
          // Once the request is there: what comes before it is for another reason.
          setTimeout(() => {
            socket.write(first);
            const many = Buffer.concat(Array.from({ length: 500 }, () => one));
            const pump = (): void => {
              if (socket.destroyed) return;
              if (socket.write(many)) setImmediate(pump);
              else socket.once("drain", pump);
            };
            pump();
          }, 50);
        });
      }, world.files);
      const repository = world.repository(server.host, { attempts: 2, stallTimeout: 500 });
      const before = process.memoryUsage().rss;
      // Who reads on as fast as is sent gets no answer by that.
      await expect(read(repository, BLOB)).rejects.toMatchObject({
        code: expect.stringMatching(new RegExp(`^ERR_REGISTRY_(?:${code})$`, "u")),
      });
      await closed[0];
      expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
    },
  );

  test("headers: V13 of 100 kB, or two thousand of them, are refused at once", async () => {
    const many = Buffer.concat(Array.from({ length: 2000 }, (_, at) => longHeader(`x${at}`, 1)));
    const long = Buffer.concat(Array.from({ length: 40 }, (_, at) => longHeader(`x${at}`, 350)));
    const [next, last] = [long, long].map((part, at) => {
      return frame(FRAME.continuation, at === 0 ? 0 : 4, 1, part);
    });
    for (const frames of [
      [frame(FRAME.headers, 4, 1, Buffer.concat([STATUS_200, many.subarray(0, 16_000)]))],
      [
        frame(FRAME.headers, 0, 1, Buffer.concat([STATUS_200, long])),
        ...Array.from({ length: 5 }, () => next ?? Buffer.alloc(0)),
        last ?? Buffer.alloc(0),
      ],
    ]) {
      await using server = await serveRawHttp2((socket) => {
        socket.write(SETTINGS);
        socket.once("data", () => setTimeout(() => socket.write(Buffer.concat(frames)), 50));
      }, world.files);
      const repository = world.repository(server.host, { attempts: 1, stallTimeout: 5000 });
      const started = performance.now();
      await expect(read(repository, BLOB)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_REGISTRY_(?:PROTOCOL|UNAVAILABLE)$/u),
      });
      expect(performance.now() - started).toBeLessThan(4000);
    }
  });
});

async function read(repository: RepositoryClient, { descriptor, bytes }: TestBlob): Promise<void> {
  const chunks = await Array.fromAsync(repository.openContent(descriptor));
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
}

function trickle(request: Parameters<typeof answerBlob>[0], { bytes }: TestBlob): void {
  beginBlob(request, bytes);
  const { stream } = request;
  const send = (at: number): void => {
    if (at >= bytes.length) return void stream.end();
    stream.write(bytes.subarray(at, at + 100_000), () => setTimeout(send, 5, at + 100_000));
  };
  send(0);
}

/** Sends zeros for as long as somebody takes them. */
function pour(
  { stream }: Parameters<typeof answerBlob>[0],
  onSent: (bytes: number) => void = () => {},
): void {
  stream.respond({ ":status": 200 });
  const chunk = Buffer.alloc(65_536);
  const more = (): void => {
    if (stream.destroyed || stream.closed) return;
    onSent(chunk.length);
    if (stream.write(chunk)) setImmediate(more);
    else stream.once("drain", more);
  };
  more();
}

/** A header in the form of HPACK that is not remembered (RFC 7541, 6.2.2). */
function longHeader(name: string, length: number): Buffer {
  const size = length < 127 ? [length] : [127, ((length - 127) & 127) | 128, (length - 127) >> 7];
  const head = Buffer.from([0, name.length]);
  return Buffer.concat([head, Buffer.from(name), Buffer.from(size), Buffer.alloc(length, "a")]);
}

function proxyFor(env: Readonly<Record<string, string>>) {
  // This machine is reached without a proxy by itself.
  const find = loadProxies({ env });
  return () => find(new URL("https://registry.test/"));
}
