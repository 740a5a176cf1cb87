import { once } from "node:events";
import { connect } from "node:net";

import {
  type FaultyRegistry,
  type RequestMatch,
  startFaultyRegistry,
  startRawServer,
  type Step,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const BODY = "hello, registry";

describe("a rule", () => {
  test.for<[RequestMatch, readonly number[]]>([
    [{ path: "/a?b=1" }, [204, 204, 204, 404]],
    [{ path: /^\/a/u, method: "POST" }, [404, 404, 204, 404]],
    [{ path: /a/u, nth: 2 }, [404, 204, 404, 404]],
    [{}, [204, 204, 204, 204]],
  ])("is for the requests that match %j", async ([match, expected]) => {
    await using registry = await startFaultyRegistry({ rules: [{ match, do: [{ status: 204 }] }] });
    const statuses: number[] = [];
    for (const [method, path] of [
      ["GET", "/a?b=1"],
      ["GET", "/a?b=1"],
      ["POST", "/a?b=1"],
      ["GET", "/b"],
    ] as const) {
      const { status } = await fetch(`${registry.url}${path}`, { method });
      statuses.push(status);
    }
    expect(statuses).toEqual(expected);
  });

  test("may come and go while the server runs, and goes before the script", async () => {
    await using registry = await startFaultyRegistry({ script: () => ({ status: 201 }) });
    registry.rules.push({ do: [{ status: 418 }] });
    expect((await fetch(registry.url)).status).toBe(418);
    registry.rules.length = 0;
    expect((await fetch(registry.url)).status).toBe(201);
  });
});

describe("the steps of an answer", () => {
  test("status, headers, body, redirect", async () => {
    await using registry = await serve(
      { status: 206 },
      { headers: { "X-Twice": ["a", "b"], "content-length": null } },
      { body: BODY },
    );
    const answer = await fetch(registry.url);
    expect([answer.status, answer.headers.get("x-twice"), await answer.text()]).toEqual([
      206,
      "a, b",
      BODY,
    ]);
    expect(answer.headers.get("content-length")).toBeNull();
    await using sending = await serve({ redirect: "/x?y" });
    const sent = await fetch(sending.url, { redirect: "manual" });
    expect([sent.status, sent.headers.get("location")]).toEqual([307, "/x?y"]);
  });

  test("flipBit turns one bit, and only that", async () => {
    await using registry = await serve({ body: BODY }, { flipBit: 8 });
    expect(await (await fetch(registry.url)).text()).toBe("hdllo, registry");
  });

  test.for([
    ["reset", "ECONNRESET"],
    ["fin", undefined],
  ] as const)("sendBytes, then %s: %s", async ([end, code]) => {
    // A reset may overtake what was sent before it.
    const ending = end === "fin" ? { fin: true as const } : { reset: true as const };
    await using registry = await serve({ body: BODY }, { sendBytes: 5 }, { sleep: 30 }, ending);
    const [text, failure] = await readRaw(registry);
    expect(text).toMatch(/content-length: 15\r\n.*\r\n\r\nhello$/su);
    expect(failure).toBe(code);
  });

  test("trickle, throttle and sleep take their time", async () => {
    for (const steps of [
      [{ body: BODY }, { trickle: { bytes: 5, every: 30 } }],
      [{ body: BODY }, { throttle: 160 }],
      [{ body: BODY }, { sendBytes: 5 }, { sleep: 80 }],
    ] satisfies Step[][]) {
      await using registry = await serve(...steps);
      const answer = await fetch(registry.url);
      const started = performance.now();
      const pieces = await Array.fromAsync(answer.body ?? []);
      expect(Buffer.concat(pieces).toString()).toBe(BODY);
      expect(performance.now() - started).toBeGreaterThan(45);
    }
  });

  test("stall, wait and endless end with the server, or with who asked", async () => {
    const registry = await serve({ body: BODY }, { sendBytes: 5 }, { stall: true });
    const answer = await fetch(registry.url);
    const read = answer.text();
    await registry[Symbol.asyncDispose]();
    await expect(read).rejects.toThrow("terminated");

    const gate = Promise.withResolvers<void>();
    await using waiting = await serve({ wait: gate.promise }, { status: 204 });
    const waited = fetch(waiting.url);
    gate.resolve();
    expect((await waited).status).toBe(204);

    await using endless = await serve({ headers: { "content-length": null } }, { endless: true });
    let length = 0;
    for await (const chunk of (await fetch(endless.url)).body ?? []) {
      if ((length += chunk.byteLength) > 1_000_000) break;
    }
    while (endless.sockets.size > 0) await new Promise(setImmediate);
  });

  test("a HEAD is answered without the body, with its length", async () => {
    await using registry = await serve({ body: BODY }, { sendBytes: 3 });
    const answer = await fetch(registry.url, { method: "HEAD" });
    expect([answer.headers.get("content-length"), await answer.text()]).toEqual(["15", ""]);
  });
});

describe("several servers", () => {
  test("are several hosts, and know their connections apart", async () => {
    await using one = await startFaultyRegistry({ script: () => ({ status: 204 }) });
    await using other = await startFaultyRegistry({ address: "127.0.0.2", name: "localhost" });
    expect(one.host).toMatch(/^127\.0\.0\.1:\d+$/u);
    expect(other.host).toMatch(/^localhost:\d+$/u);
    const url = `http://127.0.0.2:${other.host.split(":")[1]}/`;
    expect((await fetch(url)).status).toBe(404);
    await Promise.all([fetch(one.url), fetch(one.url)]);
    expect(other.accepted).toBe(1);
    expect(new Set(one.requests.map(({ peerPort }) => peerPort)).size).toBe(one.accepted);
  });
});

describe("a raw server", () => {
  test("hears all, and says what no library would", async () => {
    await using server = await startRawServer({
      onConnection: (socket) => socket.write("first"),
      onRequest: (socket, { method, path, nth }) => socket.end(` ${method} ${path} ${nth}\0`),
    });
    const [text] = await readRaw(server, "GET /a HTTP/1.1\r\nX: y\r\n\r\n");
    expect(text).toBe("first GET /a 1\0");
    expect(server.received).toBe("GET /a HTTP/1.1\r\nX: y\r\n\r\n");
    expect(server.requests).toMatchObject([{ head: "GET /a HTTP/1.1\r\nX: y" }]);
  });

  test("ends though a client holds its connection", async () => {
    const connected = Promise.withResolvers<void>();
    const server = await startRawServer({ onConnection: () => connected.resolve() });
    const read = readRaw(server, "");
    await connected.promise;
    await server[Symbol.asyncDispose]();
    expect((await read)[0]).toBe("");
  });
});

function serve(...steps: Step[]): Promise<FaultyRegistry> {
  return startFaultyRegistry({ rules: [{ do: steps }] });
}

/** All that a server sends, and the code of the error that the connection ended with. */
async function readRaw(
  { host }: { readonly host: string },
  request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
): Promise<readonly [text: string, code: string | undefined]> {
  const [address = "", port] = host.split(":");
  const socket = connect(Number(port), address);
  let code: string | undefined;
  let text = "";
  socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await once(socket, "connect");
  socket.write(request);
  await closed;
  return [text, code];
}
