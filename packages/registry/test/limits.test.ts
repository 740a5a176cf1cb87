import { randomBytes } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import {
  BandwidthLimit,
  createRegistryClient,
  type RegistryEvent,
  RequestRate,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/images.ts";
import { serve } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([]);
const LATEST = parseTag("latest");
const BLOB = randomBytes(2_000_000);
const DESCRIPTOR = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(BLOB), size: BLOB.length };

describe("requests per second", () => {
  test("are kept to for each host of its own, whoever asks", async () => {
    let count = 0;
    let ended = 0;
    await using server = await serve((_, response) => {
      count += 1;
      ended = performance.now();
      response.end(MANIFEST);
    });
    await using other = await serve((_, response) => response.end(MANIFEST));
    await using client = createRegistryClient({ plainHttp: true, requestsPerSecond: 10 });
    const at = (host: string, name: string) =>
      client.repository(parseRepository(`${host}/${name}`)).fetchManifest(LATEST);
    const started = performance.now();
    const asked = Array.from({ length: 11 }, (_, n) => at(server.host, `team/app-${n}`));
    await at(other.host, "team/app");
    expect(count).toBeLessThan(11);
    await Promise.all(asked);
    expect([count, ended - started > 980]).toEqual([11, true]);
  });

  test("are those of all clients that share the count", async () => {
    const times: number[] = [];
    await using server = await serve((_, response) => {
      times.push(performance.now());
      response.end(MANIFEST);
    });
    const requestsPerSecond = new RequestRate(10);
    const asked = Array.from({ length: 6 }, async () => {
      await using client = createRegistryClient({ plainHttp: true, requestsPerSecond });
      await client.repository(parseRepository(`${server.host}/team/app`)).fetchManifest(LATEST);
    });
    await Promise.all(asked);
    const [first = 0, last = 0] = [times[0], times.at(-1)];
    expect([times.length, last - first > 480]).toEqual([6, true]);
  });

  test("are not waited for by who gives up, and none is no number of them", async () => {
    await using server = await serve((_, response) => response.end(MANIFEST));
    await using client = createRegistryClient({ plainHttp: true, requestsPerSecond: 0.01 });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    await repository.fetchManifest(LATEST);
    const asked = repository.fetchManifest(LATEST, { signal: AbortSignal.timeout(20) });
    await expect(asked).rejects.toMatchObject({ name: "TimeoutError" });
    for (const requestsPerSecond of [0, -1, Number.NaN]) {
      expect(() => createRegistryClient({ requestsPerSecond })).toThrow(
        expect.objectContaining({ code: "ERR_REGISTRY_INVALID_ARGUMENT" }),
      );
    }
  });
});

describe("bandwidth", () => {
  test("is shared by all downloads, is no stall, and widens when it is told to", async () => {
    await using server = await serve((_, response) => response.end(BLOB));
    const bandwidth = new BandwidthLimit(2_000_000);
    const events: RegistryEvent[] = [];
    await using client = createRegistryClient({
      plainHttp: true,
      bandwidth,
      stallTimeout: 300,
      minRate: 10_000_000,
      minRateWindow: 300,
      onEvent: (event) => events.push(event),
    });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const started = performance.now();
    const read = Array.from({ length: 2 }, async () => {
      let bytes = 0;
      for await (const chunk of repository.openContent(DESCRIPTOR)) bytes += chunk.byteLength;
      return bytes;
    });
    expect(await Promise.all(read)).toEqual([BLOB.length, BLOB.length]);
    // 4 MB at 2 MB/s, but for a tenth of a second that may be made up for.
    expect(performance.now() - started).toBeGreaterThan(1850);
    expect(events).toEqual([]);

    bandwidth.bytesPerSecond = 1;
    const slow = Array.fromAsync(repository.openContent(DESCRIPTOR));
    await expect.poll(() => server.requests.length).toBe(3);
    bandwidth.bytesPerSecond = Infinity;
    expect(Buffer.concat(await slow).equals(BLOB)).toBe(true);
  });

  test("holds uploads back, too", async () => {
    const started = performance.now();
    let received = 0;
    await using server = await serve((request, response) => {
      if (request.method === "HEAD") return response.writeHead(404).end();
      if (request.method === "POST") {
        return response.writeHead(202, { location: "/v2/team/app/blobs/uploads/1" }).end();
      }
      request.on("data", (chunk: Buffer) => (received += chunk.byteLength));
      return request.on("end", () => response.writeHead(201).end());
    });
    const bandwidth = new BandwidthLimit(2_000_000);
    await using client = createRegistryClient({ plainHttp: true, bandwidth });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const openContent = async function* () {
      for (let at = 0; at < BLOB.length; at += 100_000) yield BLOB.subarray(at, at + 100_000);
    };
    await repository.pushBlob(DESCRIPTOR, { openContent });
    expect(received).toBe(BLOB.length);
    expect(performance.now() - started).toBeGreaterThan(850);
  });

  test("is given up with its signal, and is over 0", async () => {
    await using server = await serve((_, response) => response.end(BLOB));
    await using client = createRegistryClient({
      plainHttp: true,
      bandwidth: new BandwidthLimit(1),
    });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const signal = AbortSignal.timeout(50);
    const read = Array.fromAsync(repository.openContent(DESCRIPTOR, { signal }));
    await expect(read).rejects.toMatchObject({ name: "TimeoutError" });
    expect(() => new BandwidthLimit(0)).toThrow(
      expect.objectContaining({ code: "ERR_REGISTRY_INVALID_ARGUMENT" }),
    );
  });
});

describe("sockets", () => {
  test("N31 1000 pulls from 100 hosts hold at most 64 of them, and all end", async () => {
    await using farm = await startFarm(100);
    await using client = createRegistryClient({ plainHttp: true });
    const pulls = Array.from({ length: 1000 }, (_, n) =>
      client
        .repository(parseRepository(`${farm.hosts[n % farm.hosts.length]}/team/app-${n}`))
        .fetchManifest(LATEST),
    );
    expect(await Promise.all(pulls)).toHaveLength(1000);
    expect(farm.most()).toBeLessThanOrEqual(64);
    expect(farm.most()).toBeGreaterThan(32);
  }, 60_000);

  test("N31 that lie idle make room for other hosts at once", async () => {
    await using farm = await startFarm(5);
    await using client = createRegistryClient({ plainHttp: true, maxSockets: 2 });
    const started = performance.now();
    for (const host of farm.hosts) {
      await client.repository(parseRepository(`${host}/team/app`)).fetchManifest(LATEST);
    }
    // The servers would keep each for a minute.
    expect(performance.now() - started).toBeLessThan(5000);
    expect(farm.most()).toBe(2);
  });

  test("are not waited for by a client that is disposed of", async () => {
    await using server = await serve(() => {});
    await using other = await serve((_, response) => response.end(MANIFEST));
    const client = createRegistryClient({ plainHttp: true, maxSockets: 1, attempts: 1 });
    const at = (host: string) =>
      client.repository(parseRepository(`${host}/team/app`)).fetchManifest(LATEST);
    const pulls = Promise.allSettled([at(server.host), at(other.host)]);
    await expect.poll(() => server.requests.length).toBe(1);
    await client[Symbol.asyncDispose]();
    expect((await pulls).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });
});

/** Registries that keep each connection for a minute, and how many we have had open at once. */
async function startFarm(count: number) {
  let open = 0;
  let most = 0;
  const watch = (message: unknown): void => {
    most = Math.max(most, (open += 1));
    (message as { readonly socket: Socket }).socket.once("close", () => (open -= 1));
  };
  subscribe("net.client.socket", watch);
  const servers: Server[] = [];
  for (let at = 0; at < count; at += 1) {
    const server = createServer({ keepAliveTimeout: 60_000 }, (_, response) =>
      setTimeout(() => response.end(MANIFEST), 2),
    );
    await once(server.listen(0, "127.0.0.1"), "listening");
    servers.push(server);
  }
  return {
    hosts: servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`),
    most: () => most,
    async [Symbol.asyncDispose]() {
      unsubscribe("net.client.socket", watch);
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
    },
  };
}
