import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";

import { loadCredentials, logIn, logOut } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import {
  type DockerRegistry,
  makeSigningKey,
  startDockerRegistry,
  TempDir,
} from "../support/docker-registry.ts";
import { inspectChain } from "../support/error-chain.ts";
import { keychainScript, writeHelper } from "../support/helper-script.ts";
import { serve } from "../support/scripted-server.ts";
import { startTokenServer } from "../support/token-server.ts";

const USER = { username: "user", password: "canary pa:ss wörd" };
const PLAIN = { client: { plainHttp: true } };

describe("logIn at a real docker-registry", () => {
  test("keeps what the registry takes, 0600, beside what was there; a refused password writes nothing", async () => {
    using directory = new TempDir();
    await using registry = await startWithPassword(directory);
    const authfile = directory.file("deep/auth.json");
    const options = { authfile, ...PLAIN };
    const wrong = { ...USER, password: "canary-wrong" };
    const failure: unknown = await logIn(registry.host, wrong, options).catch((e) => e);
    expect(failure).toMatchObject({
      code: "ERR_REGISTRY_AUTH_FAILED",
      kind: "AuthFailed",
      message: expect.stringContaining(`${registry.host} does not take this user name`),
      hint: expect.stringContaining("Nothing was stored"),
    });
    expect(inspectChain(failure)).not.toContain("canary");
    expect(existsSync(authfile)).toBe(false);
    expect(await logIn(registry.host, USER, options)).toEqual({
      registry: registry.host,
      storedIn: authfile,
      verified: true,
    });
    expect(statSync(authfile).mode & 0o777).toBe(0o600);
    expect(await loadCredentials({ authfile })(registry.host, "any/repo")).toMatchObject(USER);
  });

  test("asks a token server without naming a repository", async () => {
    using directory = new TempDir();
    const key = makeSigningKey(directory);
    await using tokens = await startTokenServer(() => key);
    const { bundle } = key;
    const realm = `${tokens.origin}/token`;
    await using registry = await startDockerRegistry({ token: { realm, service: "test", bundle } });
    const options = { authfile: directory.file("auth.json"), ...PLAIN };
    await logIn(`${registry.host}/team`, { username: "user", password: "secret" }, options);
    expect(tokens.requests.map(({ path }) => path)).toEqual(["/token?service=test&account=user"]);
    expect(Object.keys(read(options.authfile).auths)).toEqual([`${registry.host}/team`]);
  });

  test("skopeo reads what is written, and what skopeo wrote is forgotten", async () => {
    using directory = new TempDir();
    await using registry = await startWithPassword(directory);
    const authfile = directory.file("auth.json");
    const skopeo = (...args: string[]) =>
      execFileSync("skopeo", args, { encoding: "utf8", input: USER.password });
    await logIn(registry.host, USER, { authfile, ...PLAIN });
    expect(skopeo("login", "--get-login", "--authfile", authfile, registry.host).trim()).toBe(
      "user",
    );
    await logOut(registry.host, { authfile });
    const flags = ["--tls-verify=false", "--password-stdin", "--username", "user"];
    skopeo("login", ...flags, "--authfile", authfile, registry.host);
    expect(await logOut(registry.host, { authfile })).toEqual({ removed: [registry.host] });
    expect(read(authfile).auths).toEqual({});
  });
});

describe("logIn", () => {
  test("says when a registry wanted no credentials, which may then be wrong", async () => {
    using directory = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    const options = { authfile: directory.file("auth.json"), ...PLAIN };
    expect(await logIn(server.host, USER, options)).toMatchObject({ verified: false });
  });

  test("keeps other entries, other keys, and a symbolic link", async () => {
    using directory = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    const other = { auth: "dTpw", email: "x" };
    const before = { HttpHeaders: { a: ["b"] }, auths: { "h.io": other }, psFormat: "{{.ID}}" };
    directory.write("real.json", JSON.stringify(before));
    const authfile = directory.file("auth.json");
    symlinkSync("real.json", authfile);
    await logIn(server.host, USER, { authfile, ...PLAIN });
    expect(read(authfile)).toMatchObject({ ...before, auths: { "h.io": other } });
    expect(Object.keys(read(directory.file("real.json")).auths)).toEqual(["h.io", server.host]);
  });

  test("of many at once, each is kept", async () => {
    using directory = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    const options = { authfile: directory.file("auth.json"), ...PLAIN };
    const names = Array.from({ length: 12 }, (_, at) => `${server.host}/n${at}`);
    await Promise.all(names.map(async (name) => logIn(name, USER, options)));
    expect(Object.keys(read(options.authfile).auths).toSorted()).toEqual(names.toSorted());
  });

  test("does not write over a file that it cannot read", async () => {
    using directory = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    const authfile = directory.write("auth.json", '{"auths": [');
    await expect(logIn(server.host, USER, { authfile, ...PLAIN })).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_AUTH_FILE",
    });
    expect(readFileSync(authfile, "utf8")).toBe('{"auths": [');
    const folder = directory.write("file", "");
    const below = { authfile: `${folder}/auth.json`, ...PLAIN };
    await expect(logIn(server.host, USER, below)).rejects.toMatchObject({
      code: "ERR_REGISTRY_FILE",
    });
  });

  test.for([
    ["https://h.io", USER],
    ["h.io/x:1", USER],
    ["h.io/", USER],
    ["", USER],
    ["h.io\n", USER],
    ["h.io", { ...USER, username: "" }],
    ["h.io", { ...USER, username: "a:b" }],
    ["h.io", { ...USER, username: "a\nb" }],
    ["h.io", { ...USER, username: "<token>" }],
    ["h.io", { ...USER, password: "" }],
    ["h.io", { ...USER, password: "canary\r\nX: y" }],
  ] as const)("refuses %j for %j before anybody is asked", async ([registry, credentials]) => {
    const failure: unknown = await logIn(registry, credentials).catch((e) => e);
    expect(failure).toMatchObject({
      code: "ERR_REGISTRY_INVALID_ARGUMENT",
      kind: "InvalidArgument",
    });
    expect(inspectChain(failure)).not.toContain("canary");
  });

  test("writes the file that is read first", async () => {
    using home = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    const env = { HOME: home.path, XDG_RUNTIME_DIR: home.file("run") };
    const usual = await logIn(server.host, USER, { env, ...PLAIN });
    expect(usual.storedIn).toBe(home.file("run/containers/auth.json"));
    const named = { ...env, REGISTRY_AUTH_FILE: home.file("named.json") };
    expect((await logIn(server.host, USER, { env: named, ...PLAIN })).storedIn).toBe(
      home.file("named.json"),
    );
  });
});

describe("with a helper", () => {
  test.for([
    ["for its host", (host: string) => ({ credHelpers: { [host]: "test" } }), undefined],
    ["for all, as Docker has it", () => ({ credsStore: "test" }), {}],
  ] as const)("%s: the secret goes there, and not into the file", async ([, config, left]) => {
    using directory = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    const PATH = writeHelper(directory, "test", keychainScript(directory));
    const { host } = server;
    const old = { auths: { [`https://${host}/v1/`]: { auth: "b2xkOmNhbmFyeQ==" } } };
    const authfile = directory.write("config.json", JSON.stringify({ ...old, ...config(host) }));
    const options = { authfile, env: { PATH }, ...PLAIN };
    expect((await logIn(host, USER, options)).storedIn).toBe("docker-credential-test");
    expect(read(authfile).auths).toEqual(left === undefined ? {} : { [host]: left });
    expect(await loadCredentials(options)(host, "a")).toMatchObject(USER);
    expect(await logOut(host, options)).toEqual({ removed: [host] });
    expect(await loadCredentials(options)(host, "a")).toBeUndefined();
    expect(read(authfile).auths).toEqual({});
    await expect(logIn(`${host}/ns`, USER, options)).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_ARGUMENT",
    });
  });

  test("the first of registries.conf gets it; one that fails is told, and no file written instead", async () => {
    using directory = new TempDir();
    await using server = await serve((_, response) => response.end("{}"));
    writeHelper(directory, "broken", "echo canary >&2; exit 2");
    const PATH = writeHelper(directory, "test", keychainScript(directory));
    const env = { PATH, HOME: directory.path, XDG_RUNTIME_DIR: directory.file("run") };
    const options = { env, helpers: ["test", "containers-auth.json"], ...PLAIN };
    expect((await logIn(server.host, USER, options)).storedIn).toBe("docker-credential-test");
    expect(await loadCredentials(options)(server.host, "a")).toMatchObject(USER);
    await logOut(server.host, options);
    expect(await loadCredentials(options)(server.host, "a")).toBeUndefined();
    const broken = { ...options, helpers: ["broken", "containers-auth.json"] };
    await expect(logIn(server.host, USER, broken)).rejects.toMatchObject({
      code: "ERR_REGISTRY_HELPER_FAILED",
    });
    expect(readFileSync("/proc/self/cmdline", "utf8")).not.toContain("canary");
    expect(existsSync(directory.file("run/containers/auth.json"))).toBe(false);
  });
});

describe("logOut", () => {
  test("of what is not there is told; of all removes all, and nothing else", async () => {
    using directory = new TempDir();
    const text = JSON.stringify({ auths: { "a.io": {}, "b.io/x": { auth: "dTpw" } }, other: 1 });
    const authfile = directory.write("auth.json", text);
    await expect(logOut("c.io", { authfile })).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_LOGGED_IN",
      kind: "RegistryNotFound",
    });
    await expect(logOut("b.io", { authfile })).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_LOGGED_IN",
    });
    expect(await logOut("b.io/x", { authfile })).toEqual({ removed: ["b.io/x"] });
    expect(await logOut({ all: true }, { authfile })).toEqual({ removed: ["a.io"] });
    expect(read(authfile)).toEqual({ auths: {}, other: 1 });
  });

  test("of Docker Hub forgets it under all its names", async () => {
    using directory = new TempDir();
    const names = ["docker.io", "index.docker.io", "https://index.docker.io/v1/"];
    const auths = Object.fromEntries(names.map((name) => [name, { auth: "dTpw" }]));
    const authfile = directory.write("auth.json", JSON.stringify({ auths }));
    expect(await logOut("index.docker.io", { authfile })).toEqual({ removed: ["docker.io"] });
    expect(read(authfile).auths).toEqual({});
  });

  test("tells who knows the registry all the same", async () => {
    using home = new TempDir();
    const env = { HOME: home.path, XDG_RUNTIME_DIR: home.path, DOCKER_CONFIG: home.path };
    const config = home.write("config.json", '{"auths":{"h.io":{"auth":"dTpw"}}}');
    execFileSync("mkdir", [home.file("containers")]);
    writeFileSync(home.file("containers/auth.json"), '{"auths":{"h.io":{"auth":"dTpw"}}}');
    expect(await logOut("h.io", { env })).toEqual({ removed: ["h.io"], knownBy: config });
    await expect(logOut("h.io", { env })).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_LOGGED_IN",
      hint: expect.stringContaining(config),
    });
  });
});

async function startWithPassword(directory: TempDir): Promise<DockerRegistry> {
  const line = execFileSync("htpasswd", ["-Bbn", USER.username, USER.password]);
  return startDockerRegistry({ htpasswd: directory.write("htpasswd", line) });
}

function read(path: string): { readonly auths: Readonly<Record<string, unknown>> } {
  return JSON.parse(readFileSync(path, "utf8"));
}
