import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { loadCredentials } from "@stowage/registry";
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

  test("V06 credentials in a helper are an error, not anonymous", async () => {
    using directory = new TempDir();
    for (const [document, host] of [
      [{ credHelpers: { "h.io": "desktop" } }, "h.io"],
      [{ credsStore: "desktop", auths: { "https://index.docker.io/v1/": {} } }, "docker.io"],
    ] as const) {
      const authfile = directory.write("config.json", JSON.stringify(document));
      const lookup = loadCredentials({ authfile });
      await expect(lookup(host, "a")).rejects.toMatchObject({
        code: "ERR_REGISTRY_HELPER_UNSUPPORTED",
        kind: "CredHelperFailed",
        hint: expect.stringContaining("docker-credential-desktop"),
      });
      expect(await lookup("other.io", "a")).toBeUndefined();
    }
  });
});

function entry(username: string): { readonly auth: string } {
  return { auth: Buffer.from(`${username}:x`).toString("base64") };
}

function auth(text: string): string {
  return JSON.stringify({ auths: { "h.io": { auth: Buffer.from(text).toString("base64") } } });
}
