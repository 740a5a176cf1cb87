import { randomBytes } from "node:crypto";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient, type RegistryEvent } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/images.ts";
import { serve } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([]);
const LATEST = parseTag("latest");
const BLOBS = Array.from({ length: 6 }, () => {
  const bytes = randomBytes(1000);
  return { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: 1000 };
});

describe("a host that fails", () => {
  test("is asked ten times more by all together, and each gets its error", async () => {
    await using server = await serve((_, response) => response.writeHead(503).end());
    const events: RegistryEvent[] = [];
    await using client = clientFor(events);
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const outcomes = await Promise.allSettled(
      BLOBS.map((blob) => Array.fromAsync(repository.openContent(blob))),
    );
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ reason: { kind: "RegistryUnavailable", status: 503 } });
    }
    expect(server.requests).toHaveLength(BLOBS.length + 10);
    expect(events.filter(({ type }) => type === "retries-spent").length).toBeGreaterThan(0);
  });

  test("and answers again has its retries back", async () => {
    let failing = 0;
    await using server = await serve((_, response) => {
      if (failing > 0) {
        failing -= 1;
        return response.writeHead(502).end();
      }
      return response.end(MANIFEST);
    });
    await using client = clientFor([]);
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    for (let round = 0; round < 20; round += 1) {
      failing = 1;
      await repository.fetchManifest(LATEST);
    }
    expect(server.requests).toHaveLength(40);
  });

  test("N10 and asks for a pause is left alone by all, and others are not", async () => {
    const times: number[] = [];
    let limited = true;
    await using server = await serve((_, response) => {
      times.push(performance.now());
      if (!limited) return response.end(MANIFEST);
      limited = false;
      return response.writeHead(429, { "retry-after": "1" }).end();
    });
    await using other = await serve((_, response) => response.end(MANIFEST));
    const events: RegistryEvent[] = [];
    await using client = clientFor(events);
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const first = repository.fetchManifest(LATEST);
    await expect.poll(() => events).toHaveLength(1);
    const second = repository.fetchManifest(LATEST);
    const started = performance.now();
    await client.repository(parseRepository(`${other.host}/team/app`)).fetchManifest(LATEST);
    expect(performance.now() - started).toBeLessThan(900);
    await Promise.all([first, second]);
    const [asked = 0, ...later] = times;
    expect(later).toHaveLength(2);
    for (const time of later) expect(time - asked).toBeGreaterThan(980);
  });

  test("and asks for a pause does not keep who gives up", async () => {
    await using server = await serve((_, response) =>
      response.writeHead(429, { "retry-after": "60" }).end(),
    );
    const events: RegistryEvent[] = [];
    await using client = clientFor(events);
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const stop = new AbortController();
    const fetched = [1, 2].map(() => repository.fetchManifest(LATEST, stop));
    await expect.poll(() => events.length).toBeGreaterThan(0);
    const reason = new Error("enough");
    const late = repository.fetchManifest(LATEST, stop);
    stop.abort(reason);
    for (const fetch of [...fetched, late]) await expect(fetch).rejects.toBe(reason);
  });

  test("N10 many that are limited at once count as one", async () => {
    const contents = BLOBS.map(() => randomBytes(1000));
    const limited = new Map(contents.map((bytes) => [digestOf(bytes), 2]));
    await using server = await serve(({ url = "" }, response) => {
      const bytes = contents.find((content) => url.endsWith(digestOf(content)));
      if (bytes === undefined) return response.end();
      const left = limited.get(digestOf(bytes)) ?? 0;
      limited.set(digestOf(bytes), left - 1);
      if (left > 0) return response.writeHead(429, { "retry-after": "1" }).end();
      return response.end(bytes);
    });
    await using client = createRegistryClient({ plainHttp: true, retryDelay: 1 });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const blobs = contents.map((bytes) => {
      const blob = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: 1000 };
      return Array.fromAsync(repository.openContent(blob));
    });
    expect(await Promise.all(blobs)).toHaveLength(6);
  });
});

function clientFor(events: RegistryEvent[]): ReturnType<typeof createRegistryClient> {
  return createRegistryClient({
    plainHttp: true,
    retryDelay: 1,
    onEvent: (event) => events.push(event),
  });
}
