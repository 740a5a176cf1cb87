import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/images.ts";
import { type Script, type ScriptedServer, serve } from "./support/scripted-server.ts";

const { manifest: MANIFEST, blobs: BLOBS } = makeImage([100]);
const DIGEST = digestOf(MANIFEST);
const LATEST = parseTag("latest");
const image: Script = (request, response) => {
  const blob = BLOBS.find(({ descriptor }) => request.url?.endsWith(descriptor.digest) === true);
  if (blob !== undefined) return response.end(blob.bytes);
  return response.setHeader("content-type", MEDIA_TYPE.imageManifest).end(MANIFEST);
};

describe("mirrors", () => {
  test("N21 a mirror that delivers is enough; blobs come from it", async () => {
    await using mirror = await serve(image);
    const primary = await closed();
    const { repository, client } = clientOf(primary, [mirror]);
    await using _client = client;
    await repository.fetchManifest(LATEST);
    expect(repository.deliveredFrom).toEqual(parseRepository(`${mirror.host}/mirror/app`));
    const [config] = BLOBS;
    await Array.fromAsync(repository.openContent(config?.descriptor as Descriptor));
    expect(mirror.requests.map(({ path }) => path.split("/")[2])).toEqual(["mirror", "mirror"]);
  });

  test("what lies beside an image is asked for where it came from, and nowhere else", async () => {
    await using mirror = await serve((request, response, seen) =>
      request.url?.endsWith("/latest")
        ? image(request, response, seen)
        : response.writeHead(404).end(),
    );
    await using primary = await serve(image);
    const { repository, client } = clientOf(primary, [mirror]);
    await using _client = client;
    await repository.fetchManifest(LATEST);
    const beside = repository.whereDelivered();
    const missing = { code: "ERR_REGISTRY_NOT_FOUND" };
    await expect(beside.fetchManifest(parseTag("beside"))).rejects.toMatchObject(missing);
    expect(await Array.fromAsync(beside.referrers(DIGEST))).toEqual([]);
    expect(primary.requests).toEqual([]);
    expect(repository.deliveredFrom).toEqual(parseRepository(`${mirror.host}/mirror/app`));
  });

  test.for([
    ["404", (_, response) => response.writeHead(404).end(), false],
    ["401", (_, response) => response.writeHead(401).end(), false],
    ["500", (_, response) => response.writeHead(500).end(), false],
    ["no manifest", (_, response) => response.end("<html>"), true],
    ["other bytes (tampering)", (_, response) => response.end(makeImage([2]).manifest), true],
  ] as readonly [string, Script, boolean][])(
    "N20 a mirror that answers %s: the next place is asked",
    async ([, script, tampering]) => {
      await using mirror = await serve(script);
      await using primary = await serve(image);
      const events: RegistryEvent[] = [];
      const { repository, client } = clientOf(primary, [mirror], {
        onEvent: (event) => events.push(event),
      });
      await using _client = client;
      expect((await repository.fetchManifest(DIGEST)).descriptor.digest).toBe(DIGEST);
      expect(events.filter(({ type }) => type === "mirror-failed")).toMatchObject([{ tampering }]);
    },
  );

  test("all fail: the primary's error, and what the mirrors said", async () => {
    await using mirror = await serve((_, response) => response.writeHead(403).end());
    await using primary = await serve((_, response) => response.writeHead(404).end());
    const { repository, client } = clientOf(primary, [mirror]);
    await using _client = client;
    await expect(repository.fetchManifest(LATEST)).rejects.toMatchObject({
      kind: "RegistryNotFound",
      message: expect.stringMatching(/mirrors failed too: .*HTTP 403/u),
    });
  });

  test("R18 credentials as given go to the repository's own host only", async () => {
    const ask: Script = (_, response) =>
      response.writeHead(401, { "www-authenticate": "Basic realm=x" }).end();
    await using mirror = await serve(ask, { name: "localhost" });
    await using primary = await serve((request, response, server) => {
      if (request.headers.authorization === undefined) ask(request, response, server);
      else image(request, response, server);
    });
    const credentials = { username: "user", password: "canary" };
    const { repository, client } = clientOf(primary, [mirror], { credentials });
    await using _client = client;
    await repository.fetchManifest(LATEST);
    expect(mirror.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("a lookup is asked for each host by its own name", async () => {
    await using mirror = await serve((_, response) =>
      response.writeHead(401, { "www-authenticate": "Basic realm=x" }).end(),
    );
    await using primary = await serve(image);
    const asked: string[] = [];
    const credentials = async (host: string, path: string): Promise<undefined> => {
      asked.push(`${host}/${path}`);
    };
    const { repository, client } = clientOf(primary, [mirror], { credentials });
    await using _client = client;
    await repository.fetchManifest(LATEST);
    expect(asked).toEqual([`${mirror.host}/mirror/app`, `${primary.host}/team/app`]);
  });

  test("C04 insecure holds for its mirror alone", async () => {
    await using mirror = await serve((_, response) => response.writeHead(404).end());
    await using primary = await serve(image);
    await using client = createRegistryClient({
      retryDelay: 1,
      mirrors: () => [{ repository: parseRepository(`${mirror.host}/mirror/app`), insecure: true }],
    });
    const repository = client.repository(parseRepository(`${primary.host}/team/app`));
    await expect(repository.fetchManifest(LATEST)).rejects.toMatchObject({ kind: "TlsFailed" });
    expect(mirror.requests.map(({ path }) => path)).toContain("/v2/mirror/app/manifests/latest");
    expect(primary.requests).toEqual([]);
  });
});

describe("cancellation", () => {
  test("N32 an aborted fetch rejects with the reason and closes its socket", async () => {
    const asked = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    await using server = await serve((_, response) => {
      response.on("close", gone.resolve);
      asked.resolve();
    });
    const { repository, client } = clientOf(server, []);
    await using _client = client;
    const controller = new AbortController();
    const reason = new Error("enough");
    const fetched = repository.fetchManifest(LATEST, { signal: controller.signal });
    await asked.promise;
    const started = performance.now();
    controller.abort(reason);
    await expect(fetched).rejects.toBe(reason);
    await gone.promise;
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test("nothing is sent once the signal has fired", async () => {
    await using server = await serve(image);
    const { repository, client } = clientOf(server, []);
    await using _client = client;
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(repository.fetchManifest(LATEST, { signal })).rejects.toBe(reason);
    expect(server.requests).toEqual([]);
  });

  test("a client that was disposed of is closed, with all its connections", async () => {
    await using server = await serve(image);
    const { repository, client } = clientOf(server, []);
    await repository.fetchManifest(LATEST);
    await client[Symbol.asyncDispose]();
    await expect(repository.fetchManifest(LATEST)).rejects.toMatchObject({
      code: "ERR_REGISTRY_CLOSED",
    });
  });
});

function clientOf(
  primary: ScriptedServer,
  mirrors: readonly ScriptedServer[],
  options: RegistryClientOptions = {},
) {
  const client = createRegistryClient({
    plainHttp: true,
    retryDelay: 1,
    mirrors: () =>
      mirrors.map(({ host }) => ({ repository: parseRepository(`${host}/mirror/app`) })),
    ...options,
  });
  return { client, repository: client.repository(parseRepository(`${primary.host}/team/app`)) };
}

async function closed(): Promise<ScriptedServer> {
  const server = await serve(() => {});
  await server[Symbol.asyncDispose]();
  return server;
}
