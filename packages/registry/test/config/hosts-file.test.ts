import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { inspect } from "node:util";

import {
  type ConfigEvent,
  type ContainerdHosts,
  type HostsFile,
  loadContainerdHosts,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";

describe("a hosts.toml", () => {
  test("names servers in the order of the file, and the registry's own last", () => {
    using directory = new TempDir();
    const { servers } = read(
      directory,
      `
server = "https://test-default.registry"
ca = "/etc/path/default"
[host."https://mirror.registry"]
  capabilities = ["pull"]
  ca = "mirror.pem"
  skip_verify = false
[host."https://mirror-bak.registry/us"]
  skip_verify = true
[host."http://mirror.registry:5000"]
  capabilities = ["Pull", "RESOLVE", "push", "referrers"]
  dial_timeout = "1m0.5s"
[host."https://nc.registry/v2/name/prefix"]
  override_path = true
[host."https://root.registry"]
  override_path = true
[host."bare.registry/a/../b/v2/"]
[host."http://[::1]:5000"]
`,
    );
    expect(
      servers.map(({ key, url, capabilities, skipVerify, dialTimeout }) => [
        key,
        `${url?.scheme}//${url?.host}${url?.root} ${url?.prefix}`.trimEnd(),
        [...capabilities].join(),
        skipVerify,
        dialTimeout,
      ]),
    ).toEqual([
      ['host."https://mirror.registry"', "https://mirror.registry/v2", "pull", false, undefined],
      [
        'host."https://mirror-bak.registry/us"',
        "https://mirror-bak.registry/us/v2",
        "pull,resolve,referrers",
        true,
        undefined,
      ],
      [
        'host."http://mirror.registry:5000"',
        "http://mirror.registry:5000/v2",
        "pull,resolve,push,referrers",
        undefined,
        60_500,
      ],
      [
        'host."https://nc.registry/v2/name/prefix"',
        "https://nc.registry/v2 name/prefix",
        "pull,resolve,referrers",
        undefined,
        undefined,
      ],
      [
        'host."https://root.registry"',
        "https://root.registry",
        "pull,resolve,referrers",
        undefined,
        undefined,
      ],
      [
        'host."bare.registry/a/../b/v2/"',
        "https://bare.registry/b/v2",
        "pull,resolve,referrers",
        undefined,
        undefined,
      ],
      [
        'host."http://[::1]:5000"',
        "http://[::1]:5000/v2",
        "pull,resolve,referrers",
        undefined,
        undefined,
      ],
      [
        "server",
        "https://test-default.registry/v2",
        "pull,resolve,push,referrers",
        undefined,
        undefined,
      ],
    ]);
    expect(servers[0]?.ca).toEqual([directory.file("r.test/mirror.pem")]);
    expect(servers.at(-1)?.ca).toEqual(["/etc/path/default"]);
  });

  test("takes a path, paths and pairs of paths for the client's certificates", () => {
    using directory = new TempDir();
    const client = (value: string) =>
      read(directory, `client = ${value}\n`).servers.map((server) => server.client);
    const at = (name: string): string => directory.file(`r.test/${name}`);
    expect(client('"a.pem"')).toEqual([[{ certificate: at("a.pem") }]]);
    expect(client('["a.pem", "/b.pem"]')).toEqual([
      [{ certificate: at("a.pem") }, { certificate: "/b.pem" }],
    ]);
    expect(client('[["a.cert", "a.key"], ["b.pem", ""]]')).toEqual([
      [{ certificate: at("a.cert"), key: at("a.key") }, { certificate: at("b.pem") }],
    ]);
  });

  test("keeps what its headers hold to itself", () => {
    using directory = new TempDir();
    const found = read(
      directory,
      '[header]\nAuthorization = "Basic c2VjcmV0"\nx-two = ["hidden-one", "hidden-two"]\n',
    );
    expect([...(found.servers[0]?.headers.keys() ?? [])]).toEqual(["authorization", "x-two"]);
    const shown = `${inspect(found, { depth: 9 })}${JSON.stringify(found)}`;
    expect(shown).not.toMatch(/c2VjcmV0|hidden/u);
  });

  test.for([
    ["server", 1, 'server = "ftp://h.test"'],
    ["server", 1, 'server = "https://h.test/?x=1"'],
    ["server", 1, 'server = "https://h.test/#x"'],
    ["server", 1, "server = 5"],
    ["host", 2, 'ca = "x"\nhost = 1'],
    ['host."https://"', 1, '[host."https://"]'],
    ['host."https://a b"', 1, '[host."https://a b"]'],
    ['host."https://m.test".capabilities', 3, '[host."https://m.test"]\n\ncapabilities = ["list"]'],
    ['host."https://m.test".capabilities', 2, '[host."https://m.test"]\ncapabilities = "pull"'],
    ['host."https://m.test".ca', 2, '[host."https://m.test"]\nca = [""]'],
    ['host."https://m.test".ca', 2, '[host."https://m.test"]\nca = [["a"]]'],
    ['host."https://m.test".client', 2, '[host."https://m.test"]\nclient = [["a", "b", "c"]]'],
    ['host."https://m.test".client', 2, '[host."https://m.test"]\nclient = [7]'],
    ['host."https://m.test".skip_verify', 2, '[host."https://m.test"]\nskip_verify = "no"'],
    ['host."https://m.test".override_path', 2, '[host."https://m.test"]\noverride_path = 1'],
    ['host."https://m.test".dial_timeout', 2, '[host."https://m.test"]\ndial_timeout = "5"'],
    ['host."https://m.test".dial_timeout', 2, '[host."https://m.test"]\ndial_timeout = "0s"'],
    ['host."https://m.test".header', 2, '[host."https://m.test"]\nheader = "x"'],
    ["header.x-a", 3, '[header]\n"x-b" = "b"\nx-a = 1'],
    ["header.x-a", 2, '[header]\nx-a = ["secret-1", 2]'],
    ["header.x-a", 2, '[header]\nx-a = "secret-1\\r\\nx: y"'],
    ["header.x-a", 2, "[header]\nx-a = []"],
    ['header."x a"', 2, '[header]\n"x a" = "secret-1"'],
    ["header.Host", 2, '[header]\nHost = "secret-1"'],
    ["header.content-length", 2, '[header]\ncontent-length = "secret-1"'],
    ["header.x-a", 3, '[header]\nX-A = "secret-1"\nx-a = "secret-1"'],
  ] as const)("is refused for %s in line %i of %j", ([key, line, text]) => {
    using directory = new TempDir();
    const failure = failureOf(() => read(directory, text));
    expect(failure).toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
      kind: "ConfigFileInvalid",
      hint: expect.stringContaining("--hosts-dir"),
      message: expect.stringContaining(`${directory.file("r.test/hosts.toml")}:${line}: ${key} `),
    });
    expect(inspect(failure, { depth: 9 })).not.toContain("secret-1");
  });

  test("is refused for what is no TOML, and for a URL with a password, which is not told", () => {
    using directory = new TempDir();
    for (const text of [
      '[host."https://user:hunter22@m.test"]\ncapabilities = ["pull"]',
      'server = "https://user:hunter22@m.test"',
      '[header]\nx-key = "hunter22',
      '[header]\nx-key = "hunter22"\nx-key = "hunter22"',
    ]) {
      const failure = failureOf(() => read(directory, text));
      expect(failure).toMatchObject({
        code: "ERR_REGISTRY_INVALID_CONFIG",
        message: expect.stringMatching(/hosts\.toml:\d/u),
      });
      expect(inspect(failure, { depth: 9 })).not.toContain("hunter22");
    }
  });

  test("is told, with the keys that mean nothing in it", () => {
    using directory = new TempDir();
    const events: ConfigEvent[] = [];
    const text = '[host."https://m.test"]\ncapabilites = ["pull"]\n[host."https://m.test".host]\n';
    const lookup = load(directory, { "r.test/hosts.toml": text }, (event) => events.push(event));
    lookup("r.test");
    lookup("r.test");
    const file = directory.file("r.test/hosts.toml");
    const unknownKeys = ['host."https://m.test".capabilites', 'host."https://m.test".host'];
    expect(events).toEqual([{ type: "config-file", file, unknownKeys }]);
  });
});

describe("containerd's certs.d", () => {
  test.for([
    ["r.test:5000", ["r.test_5000_", "r.test:5000", "_default"], "r.test_5000_"],
    ["r.test:5000", ["r.test:5000", "r.test", "_default"], "r.test:5000"],
    ["r.test:5000", ["r.test", "_default"], "_default"],
    ["r.test", ["r.test", "r.test_443_"], "r.test"],
    ["r.test", ["other.test"], undefined],
  ] as const)("for %s, of %j has %s", ([host, there, wanted]) => {
    using directory = new TempDir();
    const texts = there.map((name) => [`${name}/hosts.toml`, `server = "https://s.test"\n`]);
    const found = load(directory, Object.fromEntries(texts) as Record<string, string>)(host);
    expect(found?.file).toBe(wanted && directory.file(`${wanted}/hosts.toml`));
  });

  test("is looked for at the user's own place before the system's", () => {
    using home = new TempDir();
    using etc = new TempDir();
    const at = (where: TempDir, path: string): string => {
      mkdirSync(where.file(dirname(path)), { recursive: true });
      return where.write(path, "# nothing\n");
    };
    const own = at(home, ".config/containerd/certs.d/_default/hosts.toml");
    const system = at(etc, "containerd/certs.d/r.test/hosts.toml");
    const files = { env: { HOME: home.path }, etc: etc.path };
    expect(loadContainerdHosts(files)("r.test")?.file).toBe(own);
    const others = { env: { HOME: etc.path }, etc: etc.path };
    expect(loadContainerdHosts(others)("r.test")?.file).toBe(system);
  });

  test("has certificates by their names where there is no hosts.toml, or an empty one", () => {
    using directory = new TempDir();
    const names = ["ca.crt", "a.cert", "a.key", "b.cert", "hosts.toml"];
    const found = load(
      directory,
      Object.fromEntries(names.map((name) => [`r.test/${name}`, ""])),
    )("r.test");
    const at = (name: string): string => directory.file(`r.test/${name}`);
    expect(found).toMatchObject({
      file: directory.file("r.test"),
      servers: [
        {
          ca: [at("ca.crt")],
          client: [{ certificate: at("a.cert"), key: at("a.key") }, { certificate: at("b.cert") }],
        },
      ],
    });
    expect(found?.servers[0]).not.toHaveProperty("url");
  });

  test("that cannot be read fails its registry, is read again, and fails no other", () => {
    using directory = new TempDir();
    const lookup = load(directory, { "r.test/hosts.toml": "server = 1", "s.test/hosts.toml": "#" });
    symlinkSync("t.test", directory.file("t.test"));
    mkdirSync(directory.file("u.test/hosts.toml"), { recursive: true });
    expect(failureOf(() => lookup("r.test"))).toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
    });
    for (const [host, path] of [
      ["t.test", "t.test"],
      ["u.test", "u.test/hosts.toml"],
    ] as const) {
      expect(failureOf(() => lookup(host))).toMatchObject({
        code: "ERR_REGISTRY_INVALID_CONFIG",
        message: expect.stringContaining(directory.file(path)),
      });
    }
    expect(lookup("s.test")?.servers).toHaveLength(1);
    writeFileSync(directory.file("r.test/hosts.toml"), "# mended");
    expect(lookup("r.test")?.servers).toHaveLength(1);
  });

  test("that was named must be there", () => {
    using directory = new TempDir();
    const absent = directory.file("absent");
    expect(failureOf(() => loadContainerdHosts({ directory: absent }))).toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
      message: expect.stringContaining(absent),
      hint: expect.stringContaining("--hosts-dir"),
    });
  });
});

function read(directory: TempDir, text: string): HostsFile {
  const found = load(directory, { "r.test/hosts.toml": text })("r.test");
  return found ?? expect.fail("nothing was found");
}

function load(
  directory: TempDir,
  files: Readonly<Record<string, string>>,
  onEvent?: (event: ConfigEvent) => void,
): ContainerdHosts {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(directory.file(name)), { recursive: true });
    directory.write(name, text);
  }
  return loadContainerdHosts({ directory: directory.path, onEvent });
}

function failureOf(task: () => unknown): unknown {
  try {
    task();
  } catch (error) {
    return error;
  }
  return expect.fail("it succeeded");
}
