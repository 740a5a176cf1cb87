import { chmodSync, mkdirSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type ConfigEvent, loadCredentials } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";
import { inspectChain } from "../support/error-chain.ts";

const AUTH = Buffer.from("user:pa:ss").toString("base64");
const OTHER = Buffer.from("other:word").toString("base64");

describe("loadCredentials", () => {
  test.for([
    ["the repository itself", { "h.io/a/b": AUTH, "h.io/a": OTHER }, "user"],
    ["a parent", { "h.io/a": AUTH, "h.io": OTHER }, "user"],
    ["the host", { "h.io": AUTH, "h.io:443": OTHER }, "user"],
    ["the host as a URL", { "https://h.io/v1/": AUTH }, "user"],
    ["another repository", { "h.io/x": AUTH }, undefined],
    ["a sibling by prefix", { "h.io/a/bc": AUTH }, undefined],
    ["another port", { "h.io:5000": AUTH }, undefined],
    ["an empty entry shadows its parents", { "h.io/a/b": "", "h.io": OTHER }, undefined],
  ] as const)("C09 R17 key: %s", async ([, keys, username]) => {
    using directory = new TempDir();
    const auths = Object.fromEntries(Object.entries(keys).map(([key, auth]) => [key, { auth }]));
    const authfile = directory.write("auth.json", JSON.stringify({ auths }));
    const found = await loadCredentials({ authfile })("h.io", "a/b");
    expect(found && "username" in found ? found.username : undefined).toBe(username);
  });

  test("Docker Hub by its old names", async () => {
    using directory = new TempDir();
    for (const key of ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"]) {
      const authfile = directory.write("a", JSON.stringify({ auths: { [key]: { auth: AUTH } } }));
      const found = await loadCredentials({ authfile })("docker.io", "library/busybox");
      expect(found).toEqual({ username: "user", password: "pa:ss", source: authfile });
    }
  });

  test("the files in their order; an earlier one with less decides over a later one", async () => {
    using home = new TempDir();
    const env = {
      HOME: home.path,
      XDG_RUNTIME_DIR: home.file("run"),
      XDG_CONFIG_HOME: home.file("config"),
      DOCKER_CONFIG: home.file("docker"),
    };
    const lookup = loadCredentials({ env });
    expect(lookup.files).toEqual([
      home.file("run/containers/auth.json"),
      home.file("config/containers/auth.json"),
      home.file("docker/config.json"),
      home.file(".dockercfg"),
    ]);
    expect(await lookup("h.io", "a/b")).toBeUndefined();
    home.write(".dockercfg", JSON.stringify({ "https://h.io/v1/": entry("dockercfg") }));
    expect(await lookup("h.io", "a/b")).toMatchObject({ username: "dockercfg" });
    for (const [name, key] of [
      ["docker/config.json", "h.io/a/b"],
      ["config/containers/auth.json", "h.io/a"],
      ["run/containers/auth.json", "h.io"],
    ] as const) {
      mkdirSync(join(home.file(name), ".."), { recursive: true });
      home.write(name, JSON.stringify({ auths: { [key]: entry(key) } }));
      expect(await lookup("h.io", "a/b")).toMatchObject({ username: key });
    }
    const only = home.write("only", JSON.stringify({ auths: {} }));
    const alone = loadCredentials({ env: { ...env, REGISTRY_AUTH_FILE: only } });
    expect(await alone("h.io", "a/b")).toBeUndefined();
  });

  test("tokens", async () => {
    using directory = new TempDir();
    const auths = {
      "a.io": { auth: AUTH, identitytoken: "identity" },
      "b.io": { registrytoken: "bearer" },
    };
    const authfile = directory.write("auth.json", JSON.stringify({ auths }));
    const lookup = loadCredentials({ authfile });
    expect(await lookup("a.io", "x")).toMatchObject({ identityToken: "identity" });
    expect(await lookup("b.io", "x")).toMatchObject({ bearerToken: "bearer" });
  });

  test.for([
    ["nothing", ""],
    ["no JSON", "{canary"],
    ["an array", "[]"],
    ["auths as a list", '{"auths":[]}'],
    ["an entry that is text", '{"auths":{"h.io":"canary"}}'],
    ["a key twice", '{"auths":{"h.io":{},"h.io":{}}}'],
    ["no base64", '{"auths":{"h.io":{"auth":"canary!"}}}'],
    ["no colon", auth("canary")],
    ["no user", auth(":canary")],
    ["CRLF", auth("user:canary\r\nX: 1")],
    ["NUL inside", auth("user:canary\0x")],
    ["a token with CRLF", '{"auths":{"h.io":{"identitytoken":"canary\\r\\n"}}}'],
    ["10 MiB", JSON.stringify({ auths: {}, rest: "x".repeat(10 * 1024 * 1024) })],
    ["a helper called ../../bin/sh (C12)", '{"credHelpers":{"h.io":"../../bin/sh"}}'],
    ["a helper called -x (C12)", '{"credHelpers":{"h.io":"-x"}}'],
    ["a helper without a name (C12)", '{"credHelpers":{"h.io":""}}'],
  ] as const)("C08 %s: ConfigFileInvalid, and no secret in it", async ([, text]) => {
    using directory = new TempDir();
    const authfile = directory.write("auth.json", text);
    const failure: unknown = await loadCredentials({ authfile })("h.io", "a").catch((e) => e);
    expect(failure).toMatchObject({
      code: "ERR_REGISTRY_INVALID_AUTH_FILE",
      kind: "ConfigFileInvalid",
      message: expect.stringContaining(authfile),
    });
    expect(inspectChain(failure)).not.toContain("canary");
  });

  test("C11 a file that cannot be read, or is named and absent, is not anonymous", async () => {
    using directory = new TempDir();
    for (const authfile of [directory.path, directory.file("absent")]) {
      await expect(loadCredentials({ authfile })("h.io", "a")).rejects.toMatchObject({
        kind: "ConfigFileInvalid",
      });
    }
  });

  test("DOCKER_AUTH_CONFIG comes before all files; what is wrong with it is told, and no secret", async () => {
    using home = new TempDir();
    home.write(".dockercfg", JSON.stringify({ "h.io": entry("file"), "i.io": entry("file") }));
    const text = JSON.stringify({ auths: { "h.io": entry("variable") } });
    const env = { HOME: home.path, XDG_RUNTIME_DIR: home.path, DOCKER_AUTH_CONFIG: text };
    const lookup = loadCredentials({ env });
    expect(await lookup("h.io", "a")).toEqual({
      username: "variable",
      password: "x",
      source: "$DOCKER_AUTH_CONFIG",
    });
    expect(await lookup("i.io", "a")).toMatchObject({ username: "file" });
    const broken = loadCredentials({ env: { ...env, DOCKER_AUTH_CONFIG: "{canary" } });
    const failure: unknown = await broken("h.io", "a").catch((e) => e);
    expect(failure).toMatchObject({
      kind: "ConfigFileInvalid",
      message: expect.stringContaining("$DOCKER_AUTH_CONFIG"),
    });
    expect(inspectChain(failure)).not.toContain("canary");
  });

  test("C10 a file that others can read is told, or refused, with the credentials unused", async () => {
    using directory = new TempDir();
    const authfile = directory.write(
      "auth.json",
      JSON.stringify({ auths: { "h.io": entry("u") } }),
    );
    const events: ConfigEvent[] = [];
    const onEvent = (event: ConfigEvent) => events.push(event);
    const told = async (mode: number) => {
      events.length = 0;
      chmodSync(authfile, mode);
      await loadCredentials({ authfile, onEvent })("h.io", "a");
      return events.filter(({ type }) => type === "exposed-file");
    };
    expect(await told(0o600)).toEqual([]);
    expect(await told(0o640)).toEqual([{ type: "exposed-file", file: authfile, mode: "0640" }]);
    const strict = loadCredentials({ authfile, refuseExposed: true });
    await expect(strict("h.io", "a")).rejects.toMatchObject({ kind: "ConfigFileInvalid" });
    expect(await strict("other.io", "a")).toBeUndefined();
  });

  test("C11 a file that is replaced while it is read is the old one or the new one", async () => {
    using directory = new TempDir();
    const authfile = directory.write(
      "auth.json",
      JSON.stringify({ auths: { "h.io": entry("0") } }),
    );
    const lookup = loadCredentials({ authfile });
    const written = new AbortController();
    const write = async () => {
      for (let n = 1; n <= 200; n += 1) {
        const text = JSON.stringify({ auths: { "h.io": entry(`${n}`) }, pad: "x".repeat(n * 100) });
        await writeFile(directory.file("new"), text);
        await rename(directory.file("new"), authfile);
      }
      written.abort();
    };
    const read = async () => {
      while (!written.signal.aborted)
        expect(await lookup("h.io", "a")).toMatchObject({ password: "x" });
    };
    await Promise.all([write(), read(), read()]);
    await writeFile(authfile, '{"auths":{"h.io":{"au');
    await expect(lookup("h.io", "a")).rejects.toMatchObject({ kind: "ConfigFileInvalid" });
  });

  test("tells which file and which key, or that nobody knew", async () => {
    using directory = new TempDir();
    const authfile = directory.write(
      "auth.json",
      JSON.stringify({ auths: { "h.io/a": entry("u") } }),
    );
    const events: ConfigEvent[] = [];
    const onEvent = (event: ConfigEvent) => event.type === "credentials" && events.push(event);
    const lookup = loadCredentials({ authfile, onEvent });
    await lookup("h.io", "a/b");
    await lookup("h.io", "c");
    const known = { type: "credentials", host: "h.io" };
    expect(events).toEqual([
      { ...known, repository: "a/b", source: authfile, key: "h.io/a" },
      { ...known, repository: "c", source: undefined, key: undefined },
    ]);
  });
});

function entry(username: string): { readonly auth: string } {
  return { auth: Buffer.from(`${username}:x`).toString("base64") };
}

function auth(text: string): string {
  return JSON.stringify({ auths: { "h.io": { auth: Buffer.from(text).toString("base64") } } });
}
