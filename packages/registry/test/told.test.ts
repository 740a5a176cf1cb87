import { randomBytes } from "node:crypto";
import { channel } from "node:diagnostics_channel";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { blobScript, tagOf } from "./support/blob-script.ts";
import { makeImage } from "./support/images.ts";
import { serve } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([]);
const LATEST = parseTag("latest");
const BLOB = randomBytes(2_000_000);
const DESCRIPTOR = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(BLOB), size: BLOB.length };

describe("channels", () => {
  test("tell of requests, retries and blobs, and of no secret", async () => {
    using heard = listen();
    await using host = await serve((request, response, self) => {
      const isFirst = self.requests.length === 1;
      blobScript(BLOB, { etag: tagOf(BLOB), ...(isFirst && { cutAfter: 1_000_000 }) })(
        request,
        response,
        self,
      );
    });
    let isDown = true;
    await using registry = await serve((_, response) => {
      if (isDown) {
        isDown = false;
        return response.writeHead(503).end();
      }
      return response.writeHead(307, { location: `${host.origin}/b?signature=canary` }).end();
    });
    await using client = createRegistryClient({ plainHttp: true, retryDelay: 1 });
    const repository = client.repository(parseRepository(`${registry.host}/team/app`));
    for await (const _ of repository.openContent(DESCRIPTOR));
    const url = `${registry.origin}/v2/team/app/blobs/${DESCRIPTOR.digest}`;
    expect(heard.request).toMatchObject([
      { method: "GET", url, status: 503, duration: expect.any(Number) },
      { method: "GET", url, status: 307 },
      { method: "GET", url: `${host.origin}/b`, status: 200 },
      { method: "GET", url, status: 307, range: expect.stringMatching(/^bytes=\d+-$/u) },
      { method: "GET", url: `${host.origin}/b`, status: 206 },
    ]);
    expect(heard.retry).toMatchObject([{ url, attempt: 1, reason: 503 }]);
    const source = registry.host;
    expect(heard.blob).toMatchObject([
      { type: "start", digest: DESCRIPTOR.digest, size: BLOB.length, received: 0, source },
      { type: "resume", source },
      { type: "done", received: BLOB.length, source },
    ]);
    expect(JSON.stringify(heard)).not.toContain("canary");
  });

  test("tell of requests that get no answer by the code of their error", async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    using heard = listen();
    await using client = createRegistryClient({ plainHttp: true, attempts: 1 });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    await expect(Array.fromAsync(repository.openContent(DESCRIPTOR))).rejects.toMatchObject({
      code: "ERR_REGISTRY_UNAVAILABLE",
    });
    expect(heard.request).toMatchObject([{ error: "ERR_REGISTRY_UNAVAILABLE" }]);
    expect(heard.blob).toMatchObject([
      { type: "start" },
      { type: "failed", error: "ERR_REGISTRY_UNAVAILABLE" },
    ]);
  });
});

describe("rate limits", () => {
  test.for([
    [
      { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600" },
      { limit: 100, remaining: 76, window: 21600 },
    ],
    [
      { "x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "30" },
      { limit: 60, remaining: 0, reset: 30 },
    ],
    [
      { "x-ratelimit-remaining": "5", "x-ratelimit-reset": "1000000000" },
      { remaining: 5, reset: 0 },
    ],
    [
      { "ratelimit-limit": "10, 10;w=1, 1000;w=3600", "ratelimit-remaining": "9" },
      { limit: 10, remaining: 9, window: 1 },
    ],
    [
      { ratelimit: '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60' },
      { limit: 100, remaining: 50, window: 60, reset: 30 },
    ],
    [{ "ratelimit-limit": "-1", "ratelimit-remaining": "many;w=x", ratelimit: "r=1" }, undefined],
    [{ "ratelimit-limit": "9".repeat(400), "x-ratelimit-reset": "1e9" }, undefined],
  ] as const)("%j are values", async ([headers, expected]) => {
    await using server = await serve((_, response) =>
      response.writeHead(200, headers).end(MANIFEST),
    );
    using heard = listen();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    expect(repository.rateLimit).toBeUndefined();
    await repository.fetchManifest(LATEST);
    expect(repository.rateLimit).toEqual(expected);
    expect(heard.request.map((message) => message["rateLimit"])).toEqual([expected]);
  });

  test("are on the error, and in its hint", async () => {
    const headers = { "retry-after": "3600", "ratelimit-limit": "100;w=21600" };
    await using server = await serve((_, response) =>
      response
        .writeHead(429, headers)
        .end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'),
    );
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    await expect(repository.fetchManifest(LATEST)).rejects.toMatchObject({
      code: "ERR_REGISTRY_RATE_LIMITED",
      retryable: true,
      retryAfter: 3_600_000,
      rateLimit: { limit: 100, window: 21600 },
      diagnostics: [{ code: "TOOMANYREQUESTS", message: "slow down" }],
      hint: expect.stringContaining("100 requests in 21600 s"),
    });
  });
});

type Message = Readonly<Record<string, unknown>>;

interface Heard extends Disposable {
  readonly request: Message[];
  readonly retry: Message[];
  readonly blob: Message[];
}

function listen(): Heard {
  const heard = { request: [] as Message[], retry: [] as Message[], blob: [] as Message[] };
  const stops = (["request", "retry", "blob"] as const).map((name) => {
    const told = channel(`stowage:registry:${name}`);
    const hear = (message: unknown): unknown => heard[name].push(message as Message);
    told.subscribe(hear);
    return () => told.unsubscribe(hear);
  });
  return { ...heard, [Symbol.dispose]: () => stops.forEach((stop) => stop()) };
}
