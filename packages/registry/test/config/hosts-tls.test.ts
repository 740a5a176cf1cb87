import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";

import { loadHostTls } from "@stowage/registry";
import { type Certificates, makeCertificates } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";
import { HostsWorld } from "../support/hosts-world.ts";

let folder: TempDir;
let certificates: Certificates;

beforeAll(async () => {
  folder = new TempDir();
  certificates = await makeCertificates(folder.path);
});

afterAll(() => folder[Symbol.dispose]());

describe("a server of a hosts.toml over TLS", () => {
  test("is trusted by its ca and sees its client; who it redirects to is held to the ca, and is shown nothing", async () => {
    await using world = new HostsWorld();
    const { server, client, authority } = certificates;
    const tls = { ...server, clientAuthority: authority };
    const storage = await world.start({ address: "127.0.0.3", tls: server });
    const mirror = await world.start({
      address: "127.0.0.2",
      tls,
      script: ({ path }) => ({ do: [{ redirect: `${storage.url}${path.split("?")[0]}` }] }),
    });
    world.write("registry.test/ca.pem", readFileSync(authority));
    const both = [client.key, client.certificate].map((path) => readFileSync(path, "utf8"));
    world.write("registry.test/client.pem", both.join(""));
    const file = world.write(
      "registry.test/hosts.toml",
      `[host."${mirror.url}"]\nca = "ca.pem"\nclient = "client.pem"\n`,
    );
    await world.pull(world.repository("registry.test"));
    expect(mirror.requests.map(({ clientName }) => clientName)).toEqual(Array(3).fill("client"));
    expect(storage.requests).toHaveLength(3);
    expect(world.events.filter(({ type }) => type === "certificates")).toEqual([
      { type: "certificates", host: mirror.host, source: file, authorities: 1, client: true },
    ]);
    const curious = await world.start({ address: "127.0.0.4", tls });
    mirror.rules.push({ do: [{ redirect: `${curious.url}/v2/team/app/manifests/latest` }] });
    await expect(world.repository("registry.test").fetchManifest(world.tag)).rejects.toMatchObject({
      message: expect.stringContaining(`${mirror.host}/team/app`),
    });
    expect([curious.accepted > 0, curious.requests]).toEqual([true, []]);
  });

  test("is trusted by nothing else, and one file of it that is bad fails it alone", async () => {
    await using world = new HostsWorld();
    const mirror = await world.start({ address: "127.0.0.2", tls: certificates.server });
    const registry = await world.start();
    const text = `server = "${registry.url}"\n[host."${mirror.url}"]\n`;
    const file = world.write(`${registry.host}/ca.pem`, "no certificate\n");
    for (const [more, code] of [
      ["", "ERR_REGISTRY_TLS"],
      ['ca = "ca.pem"\n', "ERR_REGISTRY_INVALID_CERTIFICATE"],
      ['client = "ca.pem"\n', "ERR_REGISTRY_INVALID_CERTIFICATE"],
      ['client = [["ca.pem", "absent"]]\n', "ERR_REGISTRY_INVALID_CERTIFICATE"],
    ] as const) {
      world.events.length = 0;
      world.write(`${registry.host}/hosts.toml`, text + more);
      await world.pull(world.repository(registry.host, { attempts: 1 }));
      const failed = world.events.find((event) => event.type === "mirror-failed");
      expect(failed).toMatchObject({ error: { code } });
      if (more !== "") expect(String(failed?.error)).toContain(file);
    }
    expect(mirror.requests).toEqual([]);
  });

  test("may show any certificate with skip_verify, and is asked in plain HTTP by nobody", async () => {
    await using world = new HostsWorld();
    const secure = await world.start({ tls: certificates.server });
    world.write("registry.test/hosts.toml", `server = "${secure.url}"\nskip_verify = true\n`);
    await world.pull(world.repository("registry.test"));
    const plain = await world.start();
    world.write(
      "registry.test/hosts.toml",
      `server = "https://${plain.host}"\nskip_verify = true\n`,
    );
    await expect(world.repository("registry.test").fetchManifest(world.tag)).rejects.toMatchObject({
      code: "ERR_REGISTRY_TLS",
    });
    world.write(`${plain.host}/hosts.toml`, "skip_verify = true\n");
    await expect(world.repository(plain.host).fetchManifest(world.tag)).rejects.toMatchObject({
      code: "ERR_REGISTRY_TLS",
    });
    expect(plain.requests).toEqual([]);
  });

  test("that is written http:// is asked by TLS first where it may show any certificate", async () => {
    await using world = new HostsWorld();
    const { server, authority } = certificates;
    const [secure, plain] = [await world.start({ tls: server }), await world.start()];
    const pull = async (host: string, more: string, options = {}): Promise<void> => {
      world.write("registry.test/ca.pem", readFileSync(authority));
      world.write("registry.test/hosts.toml", `server = "http://${host}"\n${more}`);
      await world.pull(world.repository("registry.test", options));
    };
    await pull(secure.host, "skip_verify = true\n");
    await pull(plain.host, "skip_verify = true\n");
    const probes = plain.requests.filter(({ path }) => path === "/v2/");
    expect(probes).toHaveLength(1);
    // What says whom to trust asks for no other scheme than what is written.
    await pull(plain.host, 'ca = "ca.pem"\n');
    const count = plain.requests.length;
    const strict = { tls: loadHostTls({ verify: true, env: {} }) };
    await expect(pull(plain.host, "", strict)).rejects.toMatchObject({ code: "ERR_REGISTRY_TLS" });
    expect(plain.requests).toHaveLength(count);
  });

  test("is held to its check where the caller says so, whatever the file says", async () => {
    await using world = new HostsWorld();
    const secure = await world.start({ tls: certificates.server });
    const path = "registry.test/hosts.toml";
    world.write(path, `server = "${secure.url}"\nskip_verify = true\n`);
    const strict = world.repository("registry.test", {
      tls: loadHostTls({ verify: true, env: {} }),
    });
    await expect(strict.fetchManifest(world.tag)).rejects.toMatchObject({
      code: "ERR_REGISTRY_TLS",
    });
    world.write(path, `server = "${secure.url}"\n`);
    await world.pull(
      world.repository("registry.test", { tls: loadHostTls({ verify: false, env: {} }) }),
    );
  });

  test("is known by the certificates of its directory where there is no hosts.toml", async () => {
    await using world = new HostsWorld();
    const { server, client, authority } = certificates;
    const registry = await world.start({ tls: { ...server, clientAuthority: authority } });
    for (const [name, path] of [
      ["ca.crt", authority],
      ["client.cert", client.certificate],
      ["client.key", client.key],
    ] as const) {
      world.write(`${registry.host.replace(":", "_")}_/${name}`, readFileSync(path));
    }
    await world.pull(world.repository(registry.host));
    expect(registry.requests[0]).toMatchObject({ clientName: "client" });
    expect(registry.requests[0]?.path).toBe("/v2/team/app/manifests/latest");
  });
});

test("dial_timeout says how long a mirror may take to connect", async () => {
  await using world = new HostsWorld();
  const sockets = new Set<Socket>();
  // It takes the connection, and never says a word of TLS.
  const silent = createServer((socket) => void sockets.add(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const registry = await world.start();
  const { port } = silent.address() as AddressInfo;
  const mirror = `[host."https://127.0.0.1:${port}"]\ndial_timeout = "150ms"\n`;
  world.write(`${registry.host}/hosts.toml`, `server = "${registry.url}"\n${mirror}`);
  const started = performance.now();
  try {
    await world.repository(registry.host).fetchManifest(world.tag);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
  expect(sockets.size).toBe(2);
  // Twice as long as the transport would wait by itself for one connection alone.
  expect(performance.now() - started).toBeLessThan(10_000);
});
