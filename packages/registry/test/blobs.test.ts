import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { type Script, type ScriptedServer, serve, serveRaw } from "./support/scripted-server.ts";

const BLOB = randomBytes(3_000_000);
const SMALL = BLOB.subarray(0, 1000);

describe("openContent", () => {
  test("is cold, verified, and may start in the middle", async () => {
    await using server = await serve(ranges(BLOB));
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const source = repository.openContent(descriptorOf(BLOB));
    expect(server.requests).toEqual([]);
    expect(await bytesOf(source)).toEqual(BLOB);
    const rest = repository.openContent(descriptorOf(BLOB), { offset: 1_000_001 });
    expect(await bytesOf(rest)).toEqual(BLOB.subarray(1_000_001));
  });

  test("that the descriptor carries is asked of nobody; other bytes than it names are no content", async () => {
    await using server = await serve(ranges(SMALL));
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const carrying = (bytes: Uint8Array): Descriptor => ({
      ...descriptorOf(SMALL),
      data: Buffer.from(bytes).toString("base64"),
    });
    expect(await bytesOf(repository.openContent(carrying(SMALL)))).toEqual(SMALL);
    const rest = repository.openContent(carrying(SMALL), { offset: 900 });
    expect(await bytesOf(rest)).toEqual(SMALL.subarray(900));
    const signal = AbortSignal.abort(new Error("enough"));
    const stopped = bytesOf(repository.openContent(carrying(SMALL), { signal }));
    await expect(stopped).rejects.toBe(signal.reason);
    expect(server.requests).toEqual([]);
    for (const wrong of [SMALL.with(1, (SMALL[1] ?? 0) ^ 1), SMALL.subarray(1), Buffer.alloc(0)]) {
      server.requests.length = 0;
      expect(await bytesOf(repository.openContent(carrying(wrong)))).toEqual(SMALL);
      expect(server.requests).toHaveLength(1);
    }
  });

  test.for([
    ["smaller", { "content-length": "999" }],
    ["larger", { "content-length": "1001" }],
  ] as const)("H23 Content-Length %s: SizeMismatch before the body", async ([, headers]) => {
    await using server = await serve((_, response) => {
      response.writeHead(200, headers).flushHeaders();
    });
    await expect(read(server, SMALL)).rejects.toMatchObject({ kind: "SizeMismatch" });
  });

  test.for(["-1", "1e3", "+5", "0x10", "5, 6"])(
    "H23 Content-Length %s is RegistryProtocol",
    async (length) => {
      await using server = await serveRaw((socket) =>
        socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${"x".repeat(1000)}`),
      );
      await expect(read(server, SMALL)).rejects.toMatchObject({ kind: "RegistryProtocol" });
    },
  );

  test.for([
    ["too little, until the end of the connection", SMALL.subarray(1), "SizeMismatch"],
    ["nothing, until the end of the connection", Buffer.alloc(0), "SizeMismatch"],
    ["too much, until the end of the connection", BLOB.subarray(0, 1001), "SizeMismatch"],
    ["all, until the end of the connection", SMALL, undefined],
    ["H25 a flipped bit", SMALL.with(500, (SMALL[500] ?? 0) ^ 1), "DigestMismatch"],
  ] as const)("H24 N03 %s: %s", async ([, bytes, kind]) => {
    await using server = await serveRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
      socket.end(bytes);
    });
    if (kind === undefined) expect(await read(server, SMALL)).toEqual(Buffer.from(SMALL));
    else await expect(read(server, SMALL)).rejects.toMatchObject({ kind });
  });

  test("H24 a chunked body that is too long or too short", async () => {
    for (const bytes of [SMALL.subarray(1), BLOB.subarray(0, 1001)]) {
      await using server = await serve((_, response) => {
        response.write(bytes.subarray(0, 10));
        response.end(bytes.subarray(10));
      });
      await expect(read(server, SMALL)).rejects.toMatchObject({ kind: "SizeMismatch" });
    }
  });

  test("H26 a compressed blob is RegistryProtocol", async () => {
    await using server = await serve((_, response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(SMALL),
    );
    await expect(read(server, SMALL)).rejects.toMatchObject({ kind: "RegistryProtocol" });
  });

  test.for([0, 1, 1_500_000, BLOB.length - 1])(
    "N01 H27 a reset after %i bytes is resumed there",
    async (cut) => {
      await using server = await serve(cutOnce(cut, ranges(BLOB)));
      const events: RegistryEvent[] = [];
      const onEvent = (event: RegistryEvent): unknown => events.push(event);
      expect(await read(server, BLOB, { onEvent })).toEqual(BLOB);
      expect(server.requests).toHaveLength(2);
      expect(events.map(({ type }) => type)).toEqual(["resume"]);
      const { range } = server.requests[1]?.headers ?? {};
      const first = Number(/^bytes=(\d+)-$/u.exec(range ?? "bytes=0-")?.[1]);
      expect(first).toBeLessThanOrEqual(cut);
    },
  );

  test("H27 N06 a server that ignores Range: what is here already is skipped", async () => {
    await using server = await serve(cutOnce(1_500_000, (_, response) => response.end(BLOB)));
    expect(await read(server, BLOB)).toEqual(BLOB);
  });

  test.for([
    ["another offset", (first: number) => `bytes ${first - 1}-2999999/3000000`],
    ["no Content-Range", () => undefined],
    ["two", (first: number) => [range(first), range(first)]],
    ["*/100", () => "bytes */100"],
    ["backwards", () => "bytes 5-3/10"],
    ["another total", (first: number) => `bytes ${first}-2999999/3000001`],
    ["an unknown total", (first: number) => `bytes ${first}-2999999/*`],
    ["an end too early", (first: number) => `bytes ${first}-2999998/3000000`],
  ] as const)("H27 206 with %s is RegistryProtocol", async ([, headerOf]) => {
    await using server = await serve(
      cutOnce(1_500_000, (request, response) => {
        const first = firstOf(request);
        const header = headerOf(first);
        if (header !== undefined) response.setHeader("content-range", header);
        response.writeHead(206).end(BLOB.subarray(first));
      }),
    );
    await expect(read(server, BLOB)).rejects.toMatchObject({ kind: "RegistryProtocol" });
  });

  test("H27 206 without having asked, 416, another ETag, parts: RegistryProtocol", async () => {
    await using unasked = await serve((_, response) =>
      response.writeHead(206, { "content-range": "bytes 0-999/1000" }).end(SMALL),
    );
    await expect(read(unasked, SMALL)).rejects.toMatchObject({ kind: "RegistryProtocol" });
    for (const script of [
      (_: IncomingMessage, response: ServerResponse) => response.writeHead(416).end(),
      (request: IncomingMessage, response: ServerResponse) => {
        response.setHeader("etag", '"b"');
        ranges(BLOB)(request, response, unasked);
      },
      (_: IncomingMessage, response: ServerResponse) =>
        response.writeHead(206, { "content-type": "multipart/byteranges; boundary=x" }).end("--x"),
    ]) {
      await using server = await serve(cutOnce(1_500_000, script));
      await expect(read(server, BLOB)).rejects.toMatchObject({ kind: "RegistryProtocol" });
    }
  });

  test("H29 a resume with the bytes of another blob ends in DigestMismatch", async () => {
    await using server = await serve(cutOnce(1_500_000, ranges(randomBytes(BLOB.length))));
    await expect(read(server, BLOB)).rejects.toMatchObject({ kind: "DigestMismatch" });
  });

  test("a server that breaks again and again without progress is given up", async () => {
    await using server = await serve((request, response) => {
      const first = firstOf(request);
      cut(response, BLOB, first, first + 1000);
    });
    await expect(read(server, BLOB)).rejects.toMatchObject({ kind: "RegistryUnavailable" });
    expect(server.requests).toHaveLength(2);
  });

  test("one that breaks after each further MiB is not", async () => {
    await using server = await serve((request, response) => {
      const first = firstOf(request);
      if (BLOB.length - first < 1_200_000) ranges(BLOB)(request, response, server);
      else cut(response, BLOB, first, first + 1_200_000);
    });
    expect(await read(server, BLOB)).toEqual(BLOB);
    expect(server.requests).toHaveLength(3);
  });

  test.for([
    ["no answer", () => {}],
    ["headers only", (response: ServerResponse) => response.flushHeaders()],
    ["a byte now and then", (response: ServerResponse) => trickle(response)],
  ] as const)("H31 N07 %s: PullStalled", async ([, script]) => {
    await using server = await serve((_, response) => script(response));
    const started = performance.now();
    await expect(
      read(server, BLOB, { stallTimeout: 500, minRate: 2000, minRateWindow: 500 }),
    ).rejects.toMatchObject({ kind: "PullStalled", retryable: true });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("N08 what is slow but steady is no stall", async () => {
    await using server = await serve((_, response) => {
      response.flushHeaders();
      let sent = 0;
      const timer = setInterval(() => {
        response.write(SMALL.subarray(sent, (sent += 20)));
        if (sent < SMALL.length) return;
        clearInterval(timer);
        response.end();
      }, 25);
    });
    const options = { stallTimeout: 600, minRate: 100, minRateWindow: 600 };
    const started = performance.now();
    expect(await read(server, SMALL, options)).toEqual(Buffer.from(SMALL));
    expect(performance.now() - started).toBeGreaterThan(2 * options.minRateWindow);
  });

  test("H31 a stall after real progress is taken up on another connection", async () => {
    await using server = await serve((request, response, self) => {
      if (self.requests.length > 1) return ranges(BLOB)(request, response, self);
      response.writeHead(200, { "content-length": BLOB.length });
      return response.write(BLOB.subarray(0, 1_500_000));
    });
    const events: RegistryEvent[] = [];
    const onEvent = (event: RegistryEvent): unknown => events.push(event);
    expect((await read(server, BLOB, { stallTimeout: 1000, onEvent })).equals(BLOB)).toBe(true);
    expect(events).toMatchObject([{ type: "resume", received: 1_500_000 }]);
  });

  test("H31 headers that trickle are PullStalled", async () => {
    await using server = await serveRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => socket.write("X-A: b\r\n"), 100);
      socket.once("close", () => clearInterval(timer));
    });
    await expect(read(server, SMALL, { stallTimeout: 500 })).rejects.toMatchObject({
      kind: "PullStalled",
    });
  });

  test("N09 a slow reader is no stall", async () => {
    await using server = await serve(ranges(BLOB));
    await using client = createRegistryClient({
      plainHttp: true,
      stallTimeout: 50,
      minRateWindow: 50,
    });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    let slept = false;
    for await (const _ of repository.openContent(descriptorOf(BLOB))) {
      if (!slept) await new Promise((resolve) => setTimeout(resolve, 300));
      slept = true;
    }
  });

  test("N31 six at once from one host, and no more", async () => {
    let open = 0;
    let most = 0;
    await using server = await serve((_, response) => {
      most = Math.max(most, (open += 1));
      setTimeout(() => {
        open -= 1;
        response.end(SMALL);
      }, 20);
    });
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const blobs = Array.from({ length: 30 }, async () =>
      bytesOf(repository.openContent(descriptorOf(SMALL))),
    );
    expect(await Promise.all(blobs)).toHaveLength(30);
    expect(most).toBe(6);
  });

  test("N32 an abort closes the sockets of what is under way, and frees its place", async () => {
    await using server = await serve((request, response) => {
      if (request.url?.endsWith(digestOf(SMALL)) === true) return response.end(SMALL);
      response.writeHead(200, { "content-length": BLOB.length });
      return response.write(BLOB.subarray(0, 1000));
    });
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error("enough");
    const started = Array.from({ length: 10 }, async () => {
      for await (const _ of repository.openContent(descriptorOf(BLOB), { signal })) {
        if (server.sockets.size === 6) controller.abort(reason);
      }
    });
    const outcomes = await Promise.allSettled(started);
    expect(outcomes).toEqual(started.map(() => ({ status: "rejected", reason })));
    expect(await bytesOf(repository.openContent(descriptorOf(SMALL)))).toEqual(Buffer.from(SMALL));
    expect(server.sockets.size).toBe(1);
  });

  test("a reader that leaves early closes its connection", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await serve((_, response) => {
      response.on("close", closed.resolve);
      response.writeHead(200, { "content-length": BLOB.length }).write(BLOB.subarray(0, 1000));
    });
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    for await (const _ of repository.openContent(descriptorOf(BLOB))) break;
    await closed.promise;
  });
});

async function read(
  server: ScriptedServer,
  blob: Uint8Array,
  options: RegistryClientOptions = {},
): Promise<Buffer> {
  await using client = createRegistryClient({ plainHttp: true, retryDelay: 1, ...options });
  const repository = client.repository(parseRepository(`${server.host}/team/app`));
  return await bytesOf(repository.openContent(descriptorOf(blob)));
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source));
}

function descriptorOf(bytes: Uint8Array): Descriptor {
  return { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: bytes.byteLength };
}

function ranges(blob: Uint8Array): Script {
  return (request, response) => {
    const first = firstOf(request);
    if (first > 0) response.setHeader("content-range", range(first));
    response.writeHead(first > 0 ? 206 : 200, { "content-length": blob.length - first });
    response.end(blob.subarray(first));
  };
}

function cutOnce(length: number, then: Script): Script {
  return (request, response, server) => {
    if (server.requests.length > 1) return then(request, response, server);
    response.setHeader("etag", '"a"');
    cut(response, BLOB, 0, length);
  };
}

function cut(response: ServerResponse, blob: Uint8Array, from: number, to: number): void {
  const headers = { "content-length": blob.length - from };
  if (from > 0) response.writeHead(206, { ...headers, "content-range": range(from) });
  else response.writeHead(200, headers);
  response.flushHeaders();
  response.write(blob.subarray(from, to), () => response.socket?.destroySoon());
}

function trickle(response: ServerResponse): void {
  const timer = setInterval(() => response.write("x"), 50);
  response.once("close", () => clearInterval(timer));
}

function range(first: number): string {
  return `bytes ${first}-${BLOB.length - 1}/${BLOB.length}`;
}

function firstOf(request: IncomingMessage): number {
  return Number(/^bytes=(\d+)-$/u.exec(request.headers.range ?? "")?.[1] ?? 0);
}
