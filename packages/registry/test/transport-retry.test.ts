import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient, type RegistryEvent } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/images.ts";
import { type ScriptedServer, serve, serveRaw } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([]);
const LATEST = parseTag("latest");

describe("retry", () => {
  test.for([
    [500, 1],
    [502, 2],
    [503, 4],
    [429, 4],
    [408, 1],
  ])("H15 %i, %i times: then it succeeds", async ([status, times]) => {
    await using server = await failing(status as number, times as number);
    const delays = await fetchFrom(server);
    expect(delays).toHaveLength(times as number);
  });

  test.for([
    [500, "RegistryUnavailable"],
    [429, "RateLimited"],
  ] as const)("H15 %i for ever: %s after five", async ([status, kind]) => {
    await using server = await failing(status, 100);
    await expect(fetchFrom(server)).rejects.toMatchObject({ kind, status, retryable: true });
    expect(server.requests).toHaveLength(5);
  });

  test.for([
    ["0", 0, 0],
    ["-1", 0, 50],
    ["garbage", 0, 50],
    [new Date(0).toUTCString(), 0, 50],
    [undefined, 0, 50],
  ] as const)("H14 Retry-After %s: waits %i to %i ms", async ([header, least, most]) => {
    await using server = await failing(429, 1, header);
    const [delay = Number.NaN] = await fetchFrom(server);
    expect(delay).toBeGreaterThanOrEqual(least);
    expect(delay).toBeLessThanOrEqual(most);
  });

  test.for(["1000000000", "9999999999999", new Date(Date.now() + 3_600_000).toUTCString()])(
    "H14 Retry-After %s: RateLimited at once, saying when",
    async (header) => {
      await using server = await failing(429, 1, header);
      await expect(fetchFrom(server)).rejects.toMatchObject({
        kind: "RateLimited",
        retryAfter: expect.any(Number),
      });
      expect(server.requests).toHaveLength(1);
    },
  );

  test("H14 a wait is cancelled at once, with the signal's reason", async () => {
    await using server = await failing(429, 1, "60");
    const reason = new Error("enough");
    const controller = new AbortController();
    await using client = createRegistryClient({
      plainHttp: true,
      onEvent: () => controller.abort(reason),
    });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const fetched = repository.fetchManifest(LATEST, { signal: controller.signal });
    await expect(fetched).rejects.toBe(reason);
  });

  test("N22 nothing listens: tried five times, then RegistryUnavailable", async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    const events: RegistryEvent[] = [];
    await expect(fetchFrom(server, events)).rejects.toMatchObject({
      kind: "RegistryUnavailable",
      hint: expect.stringContaining("port"),
    });
    expect(events).toHaveLength(4);
  });

  test("N24 a connection that is reset before the answer is opened again", async () => {
    let count = 0;
    await using server = await serve((request, response) => {
      if ((count += 1) === 1) return request.socket.resetAndDestroy();
      return response.end(MANIFEST);
    });
    await fetchFrom(server);
  });

  test.for([
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    `HTTP/1.1 200 OK\r\nX: ${"x".repeat(200_000)}\r\n\r\n`,
    "no HTTP at all\r\n\r\n",
  ])("H30 %j is RegistryProtocol, and not asked again", async (answer) => {
    await using server = await serveRaw((socket) => socket.end(answer));
    await expect(fetchFrom(server)).rejects.toMatchObject({ kind: "RegistryProtocol" });
    expect(server.requests).toHaveLength(1);
  });
});

/** Answers with `status` so many times, and then well. */
async function failing(
  status: number,
  times: number,
  retryAfter?: string,
): Promise<ScriptedServer> {
  return serve((_, response, { requests }) => {
    if (requests.length > times) return response.end(MANIFEST);
    if (retryAfter !== undefined) response.setHeader("retry-after", retryAfter);
    return response.writeHead(status).end();
  });
}

async function fetchFrom(server: ScriptedServer, events: RegistryEvent[] = []): Promise<number[]> {
  await using client = createRegistryClient({
    plainHttp: true,
    retryDelay: 2,
    onEvent: (event) => events.push(event),
  });
  await client.repository(parseRepository(`${server.host}/team/app`)).fetchManifest(LATEST);
  return events.flatMap((event) => (event.type === "retry" ? [event.delay] : []));
}
