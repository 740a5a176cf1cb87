import { readFileSync } from "node:fs";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

import { MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import {
  createRegistryClient,
  loadHostTls,
  loadRegistriesConf,
  type RegistriesConf,
  type RegistryClientOptions,
  type RegistryEvent,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeCertificate, startDockerRegistry, TempDir } from "../support/docker-registry.ts";
import { makeImage, push } from "../support/images.ts";
import { type ScriptedServer, type Script, serve } from "../support/scripted-server.ts";
import { vectorsOf } from "../support/registries-vectors.ts";

const LATEST = parseTag("latest");
const IMAGE = makeImage([1000]);
const found: Script = (request, response) => {
  const blob = IMAGE.blobs.find(({ descriptor }) => request.url?.endsWith(descriptor.digest));
  if (request.url === "/v2/") response.end("{}");
  else if (blob !== undefined) response.end(blob.bytes);
  else response.setHeader("content-type", MEDIA_TYPE.imageManifest).end(IMAGE.manifest);
};
const refuse =
  (status: number): Script =>
  (_, response) =>
    response.writeHead(status).end();

test("runs every vector about endpoints", () => {
  expect(vectorsOf("attempt", "mirrorErrors").map(({ id }) => id)).toEqual([
    "EP-01",
    "EP-02",
    "EP-03",
    "EP-04",
    "EP-05",
    "EP-06",
  ]);
});

describe("an endpoint", () => {
  test("EP-01 V05 is never asked in plain HTTP unless it is configured insecure", async () => {
    await using server = await serve(found);
    const conf = await load(`[[registry]]\nlocation = "${server.host}"\n`);
    await expect(fetch(server.host, conf)).rejects.toMatchObject({ kind: "TlsFailed" });
    expect(server.requests).toEqual([]);
  });

  test("EP-02 that is insecure is asked by TLS first, then in plain HTTP", async () => {
    await using server = await serve(found);
    await using spy = await startSpy(server);
    const conf = await load(`[[registry]]\nlocation = "${spy.host}"\ninsecure = true\n`);
    await fetch(spy.host, conf);
    expect(spy.firstBytes.slice(0, 2)).toEqual([0x16, "G".charCodeAt(0)]);
  });

  test("EP-03 that is insecure may show any certificate; V05 another gets no byte in plain", async () => {
    using directory = new TempDir();
    const { certificate, key } = makeCertificate(directory);
    const tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
    await using server = await serve(found, { tls });
    await using spy = await startSpy(server);
    await fetch(spy.host, await load(`[[registry]]\nlocation = "${spy.host}"\ninsecure = true\n`));
    await expect(fetch(spy.host, await load(""))).rejects.toMatchObject({ kind: "TlsFailed" });
    expect(new Set(spy.firstBytes)).toEqual(new Set([0x16]));
  });

  test("EP-04 the caller's word about TLS overrides the table in both directions", async () => {
    await using server = await serve(found);
    const insecure = await load(`[[registry]]\nlocation = "${server.host}"\ninsecure = true\n`);
    const strict = { tls: loadHostTls({ verify: true, env: {} }) };
    await expect(fetch(server.host, insecure, strict)).rejects.toMatchObject({ kind: "TlsFailed" });
    expect(server.requests).toEqual([]);
    const secure = await load(`[[registry]]\nlocation = "${server.host}"\n`);
    await fetch(server.host, secure, { tls: loadHostTls({ verify: false, env: {} }) });
  });

  test("C04 insecure holds for one mirror, never for the primary", async () => {
    await using mirror = await serve(refuse(404));
    await using primary = await serve(found);
    const conf = await load(
      `[[registry]]\nlocation = "${primary.host}"\n[[registry.mirror]]\nlocation = "${mirror.host}"\ninsecure = true\n`,
    );
    await expect(fetch(primary.host, conf)).rejects.toMatchObject({ kind: "TlsFailed" });
    expect([mirror.requests.length > 0, primary.requests]).toEqual([true, []]);
  });
});

describe("mirrors of registries.conf", () => {
  test.for([401, 403, 404, 500])(
    "EP-05 a mirror that answers %i is passed over",
    async (status) => {
      await using mirror = await serve(refuse(status));
      await using primary = await serve(found);
      const events: RegistryEvent[] = [];
      const onEvent = (event: RegistryEvent) => events.push(event);
      const conf = await load(tableOf(primary, [mirror]));
      await fetch(primary.host, conf, { onEvent, attempts: 1 });
      const [mirrored, name] = [`${mirror.host}/team/app`, `${primary.host}/team/app`];
      expect(events.filter(({ type }) => type !== "retry")).toMatchObject([
        {
          type: "registry-table",
          repository: name,
          prefix: primary.host,
          sources: [mirrored, name],
        },
        { type: "mirror-failed", repository: mirrored, tampering: false },
        { type: "source", repository: name, target: "latest", source: name, mirror: false },
      ]);
    },
  );

  test("EP-06 when all fail, the primary's error stands, with those of the mirrors", async () => {
    await using mirror = await serve(refuse(404));
    await using primary = await serve(refuse(404));
    const conf = await load(tableOf(primary, [mirror]));
    await expect(fetch(primary.host, conf)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
      message: expect.stringMatching(
        new RegExp(`${primary.host}.*mirrors failed.*${mirror.host}`, "u"),
      ),
    });
  });

  test("RC-01 N21 a real docker-registry under another name serves manifest and blobs, the primary none", async () => {
    await using registry = await startDockerRegistry();
    await push(`http://${registry.host}/v2/deep/mirror/app`, IMAGE, "latest");
    await using primary = await serve(found);
    const conf = await load(
      `[[registry]]\nprefix = "registry.test/team"\nlocation = "${primary.host}/x"\ninsecure = true\n[[registry.mirror]]\nlocation = "${registry.host}/deep/mirror"\ninsecure = true\n`,
    );
    await using client = createRegistryClient({ registries: conf });
    const repository = client.repository(parseRepository("registry.test/team/app"));
    await repository.fetchManifest(LATEST);
    for (const { descriptor } of IMAGE.blobs) {
      await Array.fromAsync(repository.openContent(descriptor));
    }
    expect(await Array.fromAsync(repository.tags()).catch(() => [])).toEqual([]);
    expect(primary.requests.map(({ path }) => path)).toEqual(["/v2/", "/v2/x/app/tags/list"]);
  });

  test("C03 of a thousand mirrors, twenty are asked, each once", async () => {
    await using mirror = await serve(refuse(404));
    await using primary = await serve(found);
    const names = Array.from({ length: 1000 }, (_, at) => `${mirror.host}/m${at % 500}`);
    const tables = names.map((name) => `[[registry.mirror]]\nlocation = "${name}"\n`);
    const conf = await load(`[[registry]]\nlocation = "${primary.host}"\n${tables.join("")}`);
    await fetch(primary.host, conf);
    expect(mirror.requests.map(({ path }) => path)).toEqual(
      Array.from({ length: 20 }, (_, at) => `/v2/m${at}/team/app/manifests/latest`),
    );
  });

  test("C06 RC-24 a digest-only mirror hears nothing of a tag, and first of a digest", async () => {
    await using mirror = await serve(found);
    await using primary = await serve(found);
    const conf = await load(`${tableOf(primary, [mirror])}pull-from-mirror = "digest-only"\n`);
    await fetch(primary.host, conf);
    expect(mirror.requests).toEqual([]);
    await using client = createRegistryClient({ registries: conf, plainHttp: true });
    const repository = client.repository(parseRepository(`${primary.host}/team/app`));
    const [blob] = IMAGE.blobs;
    if (blob === undefined) throw new Error("no blob");
    await Array.fromAsync(repository.openContent(blob.descriptor));
    expect(mirror.requests).toHaveLength(1);
    expect(primary.requests.filter(({ path }) => path.includes("blobs"))).toEqual([]);
  });
});

describe("blocked", () => {
  test("C05 RC-31 RC-33 is asked for nothing, by whatever name, to read or to write", async () => {
    await using server = await serve(found);
    for (const [table, name] of [
      [`[[registry]]\nlocation = "${server.host}"\nblocked = true\n`, server.host],
      [`[[registry]]\nprefix = "r.test"\nlocation = "${server.host}"\nblocked = true\n`, "r.test"],
    ] as const) {
      const conf = await load(table);
      await using client = createRegistryClient({ registries: conf, plainHttp: true });
      const repository = client.repository(parseRepository(`${name}/team/app`));
      const [blob] = IMAGE.blobs;
      if (blob === undefined) throw new Error("no blob");
      const provider = { openContent: () => expect.fail("content was opened") };
      for (const asked of [
        async () => repository.fetchManifest(LATEST),
        async () => Array.fromAsync(repository.tags()),
        async () => repository.pushBlob(blob.descriptor, provider),
      ]) {
        await expect(asked()).rejects.toMatchObject({
          code: "ERR_REGISTRY_BLOCKED",
          kind: "PolicyRejected",
          message: expect.stringContaining("registries.conf"),
        });
      }
    }
    expect(server.requests).toEqual([]);
  });

  test("RC-34 with mirrors is read from them alone; a blocked mirror is passed over", async () => {
    await using primary = await serve(found);
    await using blocked = await serve(found);
    await using mirror = await serve(found);
    const only = await load(`${tableOf(primary, [blocked, mirror])}
[[registry]]\nlocation = "${blocked.host}"\nblocked = true\n`);
    const mirrorOnly = {
      ...only,
      registries: only.registries.map((table) => ({
        ...table,
        blocked: table.prefix !== mirror.host,
      })),
    };
    await fetch(primary.host, mirrorOnly);
    expect([primary.requests, blocked.requests]).toEqual([[], []]);
    expect(mirror.requests.length).toBeGreaterThan(0);
  });
});

async function fetch(
  host: string,
  registries: RegistriesConf,
  options: RegistryClientOptions = {},
): Promise<unknown> {
  const isPlain = registries.registries.some(({ mirrors }) => mirrors.length > 0);
  const plainHttp = isPlain && !registries.registries.some(hasInsecureMirror);
  await using client = createRegistryClient({ retryDelay: 1, plainHttp, registries, ...options });
  return await client.repository(parseRepository(`${host}/team/app`)).fetchManifest(LATEST);
}

function hasInsecureMirror({ mirrors }: RegistriesConf["registries"][number]): boolean {
  return mirrors.some(({ insecure }) => insecure);
}

function tableOf(primary: ScriptedServer, mirrors: readonly ScriptedServer[]): string {
  const tables = mirrors.map(({ host }) => `[[registry.mirror]]\nlocation = "${host}"\n`);
  return `[[registry]]\nlocation = "${primary.host}"\n${tables.join("")}`;
}

async function load(text: string): Promise<RegistriesConf> {
  using directory = new TempDir();
  return await loadRegistriesConf({
    path: directory.write("registries.conf", text),
    env: { HOME: directory.path, XDG_CACHE_HOME: directory.path },
    etc: directory.path,
    aliasFile: directory.file("none"),
  });
}

/** Notes the first byte of each connection, and passes all on to `server`. */
async function startSpy(server: ScriptedServer) {
  const firstBytes: (number | undefined)[] = [];
  const spy = createServer((socket) => {
    const onward = connect(Number(server.host.split(":")[1]), "127.0.0.1");
    socket.once("data", (chunk: Buffer) => firstBytes.push(chunk[0]));
    socket.on("error", () => {}).pipe(onward);
    onward.on("error", () => {}).pipe(socket);
    server.sockets.add(socket);
  });
  spy.listen(0, "127.0.0.1");
  await once(spy, "listening");
  return {
    host: `127.0.0.1:${(spy.address() as AddressInfo).port}`,
    firstBytes,
    async [Symbol.asyncDispose]() {
      for (const socket of server.sockets) socket.destroy();
      spy.close();
      await once(spy, "close");
    },
  };
}
