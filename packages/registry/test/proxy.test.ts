import { readFileSync } from "node:fs";

import { MEDIA_TYPE, parseManifest } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import {
  type ConfigEvent,
  createRegistryClient,
  loadHostTls,
  loadProxies,
  type RegistryClientOptions,
  UndiciTransport,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import {
  type Certificate,
  makeCertificate,
  startDockerRegistry,
  TempDir,
} from "./support/docker-registry.ts";
import { inspectChain } from "./support/error-chain.ts";
import { makeImage, push } from "./support/images.ts";
import {
  type ProxyServer,
  startBrokenProxy,
  startHttpProxy,
  startSocksProxy,
} from "./support/proxy-server.ts";
import { serve } from "./support/scripted-server.ts";

const LATEST = parseTag("latest");
const LOGIN = "us%65r:canary%3Apass";
const PROXIES = ["http", "https", "socks5"] as const;

describe("through a proxy, to a real docker-registry with TLS", () => {
  test.for(PROXIES)(
    "V10 %s: the host's own certificates count, and nobody else's",
    async (kind) => {
      using directory = new TempDir();
      const certificate = makeCertificate(directory);
      await using registry = await startDockerRegistry({ tls: certificate });
      const image = makeImage([300_000]);
      await pushOverTls(registry.port, image, certificate);
      await using proxy = await start(kind, certificate);
      const env = {
        HTTPS_PROXY: `${kind}://${LOGIN}@localhost:${proxy.port}`,
        SSL_CERT_FILE: certificate.caPath,
      };
      const host = `registry.test:${registry.port}`;
      {
        await using client = createRegistryClient({
          proxy: loadProxies({ env }),
          tls: { ca: [certificate.ca] },
        });
        const repository = client.repository(parseRepository(`${host}/team/app`));
        await repository.fetchManifest(LATEST);
        for (const { descriptor, bytes } of image.blobs) {
          const chunks = await Array.fromAsync(repository.openContent(descriptor));
          expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
        }
      }
      expect(new Set(proxy.requests.map(({ line }) => line))).toEqual(
        new Set([`${kind === "socks5" ? "SOCKS" : "CONNECT"} ${host}`]),
      );
      const before = proxy.requests.length;
      const failure = await failureOf(host, { proxy: loadProxies({ env }) });
      expect(failure).toMatchObject({ code: "ERR_REGISTRY_TLS", kind: "TlsFailed" });
      expect(proxy.requests.length).toBe(before + 1);
    },
  );

  test("a proxy with TLS must prove who it is, even for a host that need not", async () => {
    using directory = new TempDir();
    const certificate = makeCertificate(directory);
    await using proxy = await start("https", certificate);
    const env = { ALL_PROXY: `https://${LOGIN}@localhost:${proxy.port}` };
    for (const options of [{ tls: { verify: false } }, { plainHttp: true }]) {
      const failure = await failureOf("registry.test:1", {
        proxy: loadProxies({ env }),
        ...options,
      });
      expect(failure).toMatchObject({ code: "ERR_REGISTRY_TLS" });
      expect(inspectChain(failure)).not.toContain("canary");
    }
    expect(proxy.requests).toEqual([]);
  });
});

test("plain HTTP is passed on by an HTTP proxy; its login goes to nobody else", async () => {
  await using registry = await startDockerRegistry();
  await push(`http://${registry.host}/v2/team/app`, makeImage([10]), "latest");
  await using proxy = await startHttpProxy({ login: "user:canary:pass" });
  await using client = createRegistryClient({
    plainHttp: true,
    proxy: loadProxies({ env: { http_proxy: `${LOGIN}@127.0.0.1:${proxy.port}` } }),
  });
  const host = `registry.test:${registry.port}`;
  const repository = client.repository(parseRepository(`${host}/team/app`));
  await repository.fetchManifest(LATEST);
  expect(proxy.requests.map(({ line }) => line)).toEqual([
    `GET http://${host}/v2/team/app/manifests/latest`,
  ]);
  expect(proxy.requests[0]?.headers.host).toBe(host);
  await using origin = await serve((_, response) => response.writeHead(404).end());
  const away = client.repository(parseRepository(`registry.test:${origin.host.split(":")[1]}/a`));
  await away.fetchManifest(LATEST).catch(() => {});
  expect(origin.requests[0]?.headers).not.toHaveProperty("proxy-authorization");
});

test("inside of a tunnel nobody hears of the proxy's login", async () => {
  using directory = new TempDir();
  const { ca, certificate, key } = makeCertificate(directory);
  const tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
  await using origin = await serve((_, response) => response.writeHead(404).end(), { tls });
  await using proxy = await startHttpProxy({ login: "user:canary:pass" });
  const env = { HTTPS_PROXY: `http://${LOGIN}@127.0.0.1:${proxy.port}` };
  const host = `registry.test:${origin.host.split(":")[1]}`;
  await failureOf(host, { proxy: loadProxies({ env }), tls: { ca: [ca] } });
  expect(origin.requests).toHaveLength(1);
  expect(origin.requests[0]?.headers).not.toHaveProperty("proxy-authorization");
  expect(proxy.requests[0]?.headers).toHaveProperty("proxy-authorization");
});

describe("C18 N28 a proxy that", () => {
  test.for([
    ["wants a login (C18)", "HTTP/1.1 407 x\r\ncontent-length: 0\r\n\r\n", "AuthFailed"],
    ["redirects (C18)", "HTTP/1.1 302 x\r\nlocation: http://evil/\r\n\r\n", "RegistryUnavailable"],
    [
      "talks before it is asked (C18)",
      "HTTP/1.1 200 x\r\n\r\nHTTP/1.1 200 OK",
      "RegistryUnavailable",
    ],
    ["answers 502", "HTTP/1.1 502 x\r\n\r\n", "RegistryUnavailable"],
    ["answers no HTTP", "canary\r\n\r\n", "RegistryProtocol"],
    ["sends headers without end", `HTTP/1.1 200 x\r\nx: ${"y".repeat(40_000)}`, "RegistryProtocol"],
    ["dies in the middle (N28)", "", "RegistryUnavailable"],
    ["says nothing", undefined, "RegistryUnavailable"],
  ] as const)("%s is named, with no secret", async ([, answer, kind]) => {
    await using proxy = await startBrokenProxy(answer);
    const origin = `http://127.0.0.1:${proxy.port}`;
    const env = { HTTPS_PROXY: `http://${LOGIN}@127.0.0.1:${proxy.port}` };
    await using transport = new UndiciTransport({
      connectTimeout: 300,
      proxy: loadProxies({ env }),
    });
    const failure = await failureOf("registry.test", { transport: transport.request });
    expect(failure).toMatchObject({ kind, message: expect.stringContaining(origin) });
    expect(inspectChain(failure)).not.toMatch(/canary|us%65r|dXNlcj/u);
    expect(proxy.requests[0]?.line).toBe("CONNECT registry.test:443 HTTP/1.1");
  });

  test("is asked for an address of IPv6 in brackets", async () => {
    await using proxy = await startBrokenProxy("");
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` };
    await using transport = new UndiciTransport({ proxy: loadProxies({ env }) });
    const url = new URL("https://[fd00::1]/v2/");
    await transport.request({ method: "GET", url, headers: {} }, {}).catch(() => {});
    expect(proxy.requests[0]?.line).toBe("CONNECT [fd00::1]:443 HTTP/1.1");
  });

  test.for(["http", "socks5"] as const)("refuses the login, as %s", async (kind) => {
    await using proxy = await (kind === "http" ? startHttpProxy : startSocksProxy)({
      login: "other:word",
    });
    for (const [variable, login] of [
      ["HTTPS_PROXY", `${LOGIN}@`],
      ["HTTP_PROXY", ""],
    ] as const) {
      const env = { [variable]: `${kind}://${login}127.0.0.1:${proxy.port}` };
      const plainHttp = variable === "HTTP_PROXY";
      const failure = await failureOf("registry.test", { proxy: loadProxies({ env }), plainHttp });
      expect(failure).toMatchObject({ code: "ERR_REGISTRY_AUTH_FAILED", kind: "AuthFailed" });
      expect(inspectChain(failure)).not.toContain("canary");
    }
  });

  test("is not there", async () => {
    const env = { ALL_PROXY: "socks5://127.0.0.1:1" };
    const failure = await failureOf("registry.test", { proxy: loadProxies({ env }), attempts: 1 });
    expect(failure).toMatchObject({
      kind: "RegistryUnavailable",
      message: expect.stringContaining("socks5://127.0.0.1:1"),
    });
  });

  test("is slow is given up when the client goes", async () => {
    await using proxy = await startBrokenProxy(undefined);
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` };
    const client = createRegistryClient({ proxy: loadProxies({ env }) });
    const fetched = client.repository(parseRepository("registry.test/a")).fetchManifest(LATEST);
    fetched.catch(() => {});
    await expect.poll(() => proxy.requests.length).toBe(1);
    const started = performance.now();
    await client[Symbol.asyncDispose]();
    await expect(fetched).rejects.toBeInstanceOf(Error);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe("C17 loadProxies", () => {
  test.for([
    ["https://h.io/", { HTTPS_PROXY: "p:1" }, "http://p:1"],
    ["https://h.io/", { https_proxy: "http://p:1" }, "http://p:1"],
    ["https://h.io/", { HTTPS_PROXY: "http://p:1", https_proxy: "http://q:1" }, "http://p:1"],
    ["https://h.io/", { HTTPS_PROXY: "", https_proxy: "http://q:1" }, "http://q:1"],
    ["https://h.io/", { HTTP_PROXY: "http://p:1" }, undefined],
    ["http://h.io/", { HTTP_PROXY: "http://p:1" }, "http://p:1"],
    ["http://h.io/", { HTTP_PROXY: "http://p:1", REQUEST_METHOD: "GET" }, undefined],
    ["http://h.io/", { all_proxy: "socks5h://p:1" }, "socks5h://p:1"],
    ["https://h.io/", { ALL_PROXY: "socks5://p:1", HTTPS_PROXY: "p:2" }, "http://p:2"],
    ["https://localhost/", { HTTPS_PROXY: "p:1" }, undefined],
    ["https://127.8.8.8/", { HTTPS_PROXY: "p:1" }, undefined],
    ["https://[::1]/", { HTTPS_PROXY: "p:1" }, undefined],
    ["https://[::ffff:127.0.0.1]/", { HTTPS_PROXY: "p:1" }, undefined],
  ] as const)("for %s with %j: %s", ([url, env, expected]) => {
    expect(loadProxies({ env })(new URL(url))?.url.href.replace(/\/$/u, "")).toBe(expected);
  });

  test.for([
    ["*", ["h.io", "10.0.0.1"], []],
    ["h.io", ["h.io", "H.IO.", "a.h.io", "h.io:5000"], ["xh.io", "h.io.evil", "i.io"]],
    [".h.io", ["a.h.io", "b.a.h.io"], ["h.io", "ah.io"]],
    ["*.h.io", ["a.h.io"], ["h.io", "ah.io"]],
    ["h.io:5000", ["h.io:5000", "a.h.io:5000"], ["h.io", "h.io:5001"]],
    ["h.io:443", ["h.io"], ["h.io:5000"]],
    ["10.1.0.0/16", ["10.1.2.3", "10.1.2.3:5000"], ["10.2.0.1", "h.io"]],
    ["10.1.2.3", ["10.1.2.3", "10.1.2.3:5000"], ["10.1.2.30", "10.1.2.4"]],
    ["10.1.2.3:5000", ["10.1.2.3:5000"], ["10.1.2.3"]],
    ["fd00::/8,fe80::1", ["[fd00::9]", "[fd00::9]:5000", "[fe80::1]"], ["[fe80::2]", "10.0.0.1"]],
    ["[fd00::1]:5000", ["[fd00::1]:5000"], ["[fd00::1]", "[fd00::2]:5000"]],
    ["a.io , b.io\tc.io", ["a.io", "b.io", "c.io"], ["d.io"]],
    ["10.0.0.0/99,http://h.io/,,:,/,[", [], ["h.io", "10.0.0.1"]],
    ["", [], ["h.io"]],
  ] as const)("NO_PROXY=%j", ([noProxy, direct, proxied]) => {
    const lookup = loadProxies({ env: { HTTPS_PROXY: "p:1", NO_PROXY: noProxy } });
    const isDirect = (host: string) => lookup(new URL(`https://${host}/`)) === undefined;
    expect([direct.filter(isDirect), proxied.filter(isDirect)]).toEqual([direct, []]);
    const lower = loadProxies({ env: { HTTPS_PROXY: "p:1", no_proxy: noProxy } });
    expect(direct.every((host) => lower(new URL(`https://${host}/`)) === undefined)).toBe(true);
  });

  test.for([
    "http://",
    "ftp://canary@p:1",
    "http://p:canary",
    "http://canary:%zz@p:1",
    "http://p:1/canary",
    "http://p:1?canary",
    "http://u:canary%0d%0a@p:1",
    "canary p",
  ])("%j is a mistake in the variable, whose value is not shown", (text) => {
    const lookup = loadProxies({ env: { HTTPS_PROXY: text } });
    let failure: unknown;
    try {
      lookup(new URL("https://h.io/"));
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({
      code: "ERR_REGISTRY_INVALID_PROXY",
      kind: "ConfigFileInvalid",
      message: expect.stringContaining("HTTPS_PROXY"),
    });
    expect(inspectChain(failure)).not.toContain("canary");
  });

  test("tells which variable decided, once for each host, and never the login", () => {
    const events: ConfigEvent[] = [];
    const env = { HTTPS_PROXY: `http://${LOGIN}@p:1`, no_proxy: "i.io" };
    const lookup = loadProxies({ env, onEvent: (event) => events.push(event) });
    const found = ["h.io", "h.io", "i.io"].map((host) => lookup(new URL(`https://${host}/a`)));
    expect(events).toEqual([
      { type: "proxy", origin: "https://h.io", proxy: "http://p:1", variable: "HTTPS_PROXY" },
      { type: "proxy", origin: "https://i.io", proxy: undefined, variable: "no_proxy" },
    ]);
    expect(inspectChain([events, found])).not.toContain("canary");
    expect(found[0]?.login).toMatchObject({ username: "user" });
  });
});

async function start(
  kind: (typeof PROXIES)[number],
  { certificate, key }: Certificate,
): Promise<ProxyServer> {
  const login = "user:canary:pass";
  if (kind === "socks5") return startSocksProxy({ login });
  const tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
  return startHttpProxy({ login, ...(kind === "https" && { tls }) });
}

async function failureOf(host: string, options: RegistryClientOptions): Promise<unknown> {
  await using client = createRegistryClient({ attempts: 1, retryDelay: 1, ...options });
  const repository = client.repository(parseRepository(`${host}/team/app`));
  return await repository.fetchManifest(LATEST).catch((error: unknown) => error);
}

async function pushOverTls(
  port: number,
  image: ReturnType<typeof makeImage>,
  { ca }: Certificate,
): Promise<void> {
  await using client = createRegistryClient({ tls: { ca: [ca] } });
  const repository = client.repository(parseRepository(`localhost:${port}/team/app`));
  for (const { descriptor, bytes } of image.blobs) {
    await repository.pushBlob(descriptor, {
      async *openContent() {
        yield bytes;
      },
    });
  }
  const manifest = parseManifest(image.manifest, MEDIA_TYPE.imageManifest);
  await repository.pushManifest(manifest, { tags: [LATEST] });
}

test("loadHostTls and loadProxies agree about whom to trust", async () => {
  using directory = new TempDir();
  const { caPath, ca } = makeCertificate(directory);
  const env = { HTTPS_PROXY: "https://p:1", SSL_CERT_FILE: caPath, HOME: directory.path };
  const proxy = loadProxies({ env })(new URL("https://h.io/"));
  expect(await proxy?.tls()).toEqual({ authorities: [ca.trim()] });
  expect(await loadHostTls({ env })("h.io")).toEqual({ authorities: [ca.trim()] });
});
