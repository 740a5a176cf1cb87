import { parseRegistryHost } from "@stowage/reference";
import { loadRegistriesConf } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { HostsWorld, NOTHING } from "../support/hosts-world.ts";

const pathsOf = (server: { readonly requests: readonly { readonly path: string }[] }) =>
  server.requests.map(({ path }) => path);

describe("the servers of a hosts.toml", () => {
  test("are asked in the order of the file, told which registry is meant, and the registry last", async () => {
    await using world = new HostsWorld();
    const [pullOnly, empty, below, registry] = [
      await world.start({ address: "127.0.0.2" }),
      await world.start({ ...NOTHING, address: "127.0.0.3" }),
      await world.start({ ...NOTHING, address: "127.0.0.4" }),
      await world.start(),
    ];
    const file = world.write(
      `${registry.host}/hosts.toml`,
      `server = "${registry.url}"
[host."${pullOnly.url}"]
  capabilities = ["pull"]
[host."${empty.url}"]
  capabilities = ["pull", "resolve"]
[host."${below.url}/v2/hub/proxy"]
  override_path = true
`,
    );
    const repository = world.repository(registry.host);
    await repository.fetchManifest(world.tag);
    const query = `?ns=${encodeURIComponent(registry.host)}`;
    const manifest = "/team/app/manifests/latest";
    expect([pullOnly, empty, below, registry].map(pathsOf)).toEqual([
      [],
      [`/v2${manifest}${query}`],
      [`/v2/hub/proxy${manifest}${query}`],
      [`/v2${manifest}`],
    ]);
    const keys = [`host."${empty.url}"`, `host."${below.url}/v2/hub/proxy"`, "server"];
    const name = `${registry.host}/team/app`;
    expect(world.events).toMatchObject([
      { type: "config-file", file, unknownKeys: [] },
      {
        type: "hosts-file",
        repository: name,
        file,
        keys,
        sources: [`${empty.host}/team/app`, `${below.host}/hub/proxy/team/app`, name],
      },
      { type: "mirror-failed", repository: `${empty.host}/team/app` },
      { type: "mirror-failed", repository: `${below.host}/hub/proxy/team/app` },
      { type: "source", source: name, mirror: false },
    ]);
  });

  test("serve content by its digest where they may not say what a tag means", async () => {
    await using world = new HostsWorld();
    const mirror = await world.start();
    const registry = await world.start(NOTHING);
    world.write(
      `${registry.host}/hosts.toml`,
      `server = "${registry.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull"]\n`,
    );
    const repository = world.repository(registry.host);
    await expect(repository.fetchManifest(world.tag)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
    expect(pathsOf(mirror)).toEqual([]);
    const blob = world.image.blobs[0]?.descriptor ?? expect.fail("no blob");
    await Array.fromAsync(repository.openContent(blob));
    const ns = encodeURIComponent(registry.host);
    expect(pathsOf(mirror)).toEqual([`/v2/team/app/blobs/${blob.digest}?ns=${ns}`]);
    expect(pathsOf(registry)).toEqual(["/v2/team/app/manifests/latest"]);
  });

  test("of _default stand for every registry, which is not asked where it is not the server", async () => {
    await using world = new HostsWorld();
    const cache = await world.start();
    world.write("_default/hosts.toml", `server = "${cache.url}"\n`);
    await world.pull(world.repository("registry.test:5000"));
    await world.pull(world.repository("docker.io"));
    const asked = cache.requests.map(({ path }) => path.split("?")[1]);
    expect(new Set(asked)).toEqual(new Set(["ns=registry.test%3A5000", "ns=docker.io"]));
    // Whatever is about all repositories of a registry is the registry's own.
    const count = cache.requests.length;
    const host = parseRegistryHost("127.0.0.1:9");
    await expect(world.client({ attempts: 1 }).ping(host)).rejects.toMatchObject({
      code: "ERR_REGISTRY_UNAVAILABLE",
    });
    expect(cache.requests).toHaveLength(count);
  });

  test("are each asked twice at most, since another follows", async () => {
    await using world = new HostsWorld();
    const failing = await world.start({ script: () => ({ status: 500 }) });
    const registry = await world.start();
    world.write(
      `${registry.host}/hosts.toml`,
      `server = "${registry.url}"\n[host."${failing.url}"]\n`,
    );
    await world.repository(registry.host).fetchManifest(world.tag);
    expect(failing.requests).toHaveLength(2);
  });

  test("list tags and referrers at the server, whose next page need not repeat who is meant", async () => {
    await using world = new HostsWorld();
    const cache = await world.start({
      script: ({ nth, path }) =>
        nth === 1 && !path.includes("last")
          ? {
              headers: { link: '</v2/team/app/tags/list?last=a>; rel="next"' },
              body: '{"tags":["a"]}',
            }
          : { body: '{"tags":["b"]}' },
    });
    world.write("registry.test/hosts.toml", `server = "${cache.url}"\n`);
    const repository = world.repository("registry.test");
    expect(await Array.fromAsync(repository.tags())).toEqual(["a", "b"]);
    expect(pathsOf(cache)).toEqual([
      "/v2/team/app/tags/list?ns=registry.test",
      "/v2/team/app/tags/list?last=a&ns=registry.test",
    ]);
  });

  test("take what is written where they are said to, and else nothing but the server does", async () => {
    await using world = new HostsWorld();
    const accept = { script: () => ({ status: 200, headers: { "content-length": "1000" } }) };
    const [silent, taking, registry] = [
      await world.start(accept),
      await world.start(accept),
      await world.start(accept),
    ];
    const blob = world.image.blobs.at(-1)?.descriptor ?? expect.fail("no blob");
    const provider = { openContent: () => expect.fail("content was opened") };
    const path = `${registry.host}/hosts.toml`;
    const push = () => world.repository(registry.host).pushBlob(blob, provider);
    const mirrors = `[host."${silent.url}"]\n`;
    world.write(path, `server = "${registry.url}"\n${mirrors}`);
    expect(await push()).toBe("existed");
    world.write(
      path,
      `server = "${registry.url}"\n${mirrors}[host."${taking.url}"]\ncapabilities = ["push"]\n`,
    );
    expect(await push()).toBe("existed");
    expect([silent, taking, registry].map(({ requests }) => requests.length)).toEqual([0, 1, 1]);
    const file = world.write(path, `server = "${registry.url}"\ncapabilities = ["pull"]\n`);
    await expect(push()).rejects.toMatchObject({
      code: "ERR_REGISTRY_BLOCKED",
      message: expect.stringContaining(file),
    });
    expect(registry.requests).toHaveLength(1);
  });

  test("are not asked for what none of them may be asked for", async () => {
    await using world = new HostsWorld();
    const registry = await world.start();
    const text = `server = "${registry.url}"\ncapabilities = ["pull"]\n`;
    const file = world.write(`${registry.host}/hosts.toml`, text);
    await expect(world.repository(registry.host).fetchManifest(world.tag)).rejects.toMatchObject({
      code: "ERR_REGISTRY_BLOCKED",
      message: expect.stringContaining(file),
    });
    expect(registry.requests).toEqual([]);
  });
});

describe("registries.conf beside hosts.toml", () => {
  test("decides about the repositories that a table of it is for, and hosts.toml about the others", async () => {
    await using world = new HostsWorld();
    const [containers, containerd] = [await world.start(), await world.start()];
    world.write("registry.test/hosts.toml", `server = "${containerd.url}"\n`);
    const registries = await load(
      world,
      `[[registry]]\nprefix = "registry.test/team"\nlocation = "${containers.host}/team"\ninsecure = true\n`,
    );
    const client = world.client({ registries, attempts: 1 });
    const repository = (path: string) =>
      client.repository({
        host: parseRegistryHost("registry.test"),
        path: path as ReturnType<HostsWorld["repository"]>["repository"]["path"],
      });
    await repository("team/app").fetchManifest(world.tag);
    // It is written to its own name then, where nobody is.
    const blob = world.image.blobs[0]?.descriptor ?? expect.fail("no blob");
    await expect(repository("team/app").hasContent(blob)).rejects.toMatchObject({
      code: "ERR_REGISTRY_UNAVAILABLE",
    });
    expect(containerd.requests).toEqual([]);
    await repository("others/app").fetchManifest(world.tag);
    expect(pathsOf(containerd)).toEqual(["/v2/others/app/manifests/latest?ns=registry.test"]);
    const types = world.events.map(({ type }) => type);
    expect(types.filter((type) => type.endsWith("-table") || type === "hosts-file")).toEqual([
      "registry-table",
      "hosts-file",
    ]);
  });

  test("blocks places that a hosts.toml names, which are passed over", async () => {
    await using world = new HostsWorld();
    const mirror = await world.start({ address: "127.0.0.2" });
    const registry = await world.start();
    world.write(
      `${registry.host}/hosts.toml`,
      `server = "${registry.url}"\n[host."${mirror.url}"]\n`,
    );
    const registries = await load(
      world,
      `[[registry]]\nlocation = "${mirror.host}"\nblocked = true\n`,
    );
    await world.pull(world.repository(registry.host, { registries }));
    expect(mirror.requests).toEqual([]);
    expect(registry.requests.length).toBeGreaterThan(0);
  });
});

test("a hosts.toml that is none fails what is asked of its registry, and is read again", async () => {
  await using world = new HostsWorld();
  const registry = await world.start();
  const path = `${registry.host}/hosts.toml`;
  const file = world.write(path, `server = "${registry.url}"\ncapabilities = ["fly"]\n`);
  const client = world.client();
  const host = parseRegistryHost(registry.host);
  const repository = client.repository(world.repository(registry.host).repository);
  const blob = world.image.blobs[0]?.descriptor ?? expect.fail("no blob");
  const refusal = {
    code: "ERR_REGISTRY_INVALID_CONFIG",
    message: expect.stringContaining(`${file}:2: capabilities `),
  };
  for (const asked of [
    async () => repository.fetchManifest(world.tag),
    async () => Array.fromAsync(repository.tags()),
    async () => Array.fromAsync(repository.openContent(blob)),
    async () => repository.hasContent(blob),
    async () => client.ping(host),
  ]) {
    await expect(asked()).rejects.toMatchObject(refusal);
  }
  expect(registry.accepted).toBe(0);
  world.write(path, `server = "${registry.url}"\n`);
  await world.pull(repository);
});

async function load(world: HostsWorld, text: string) {
  return loadRegistriesConf({
    path: world.write("conf/registries.conf", text),
    dropInDir: world.directory.file("conf"),
    aliasFile: world.directory.file("none"),
  });
}
