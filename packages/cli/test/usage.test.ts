import { exitCodeOf } from "stowage";
import { startFaultyRegistry } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const BAD: readonly (readonly [code: number, errorCode: string, args: readonly string[]])[] = [
  [2, "ERR_STOWAGE_USAGE", []],
  [2, "ERR_STOWAGE_USAGE", ["launch"]],
  [2, "ERR_STOWAGE_USAGE", ["--frob", "images"]],
  [2, "ERR_STOWAGE_USAGE", ["--root"]],
  [2, "ERR_STOWAGE_USAGE", ["--log-level", "loud", "images"]],
  [2, "ERR_STOWAGE_USAGE", ["pull"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "a", "b"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "--tls-verify=maybe", "a"]],
  [2, "ERR_CONTENT_INVALID_PLATFORM", ["pull", "--platform", "linux", "a"]],
  [2, "ERR_REFERENCE_INVALID", ["pull", ""]],
  [2, "ERR_REFERENCE_UPPERCASE", ["pull", "UPPER/case"]],
  [2, "ERR_REFERENCE_INVALID", ["pull", "a//b"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "docker://x"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "dir:/etc"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "--", `sha256:${"a".repeat(64)}`]],
  [2, "ERR_REFERENCE_AMBIGUOUS_ID", ["pull", "a".repeat(64)]],
  [2, "ERR_STOWAGE_USAGE", ["sync", "oci:/tmp/layout", "a.test/b"]],
  [2, "ERR_STOWAGE_USAGE", ["sync", "a.test/b", "oci:layout"]],
  [2, "ERR_STOWAGE_USAGE", ["push", "oci:layout", "a.test/b"]],
  [2, "ERR_STOWAGE_USAGE", ["tags", "dir:/tmp/it"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "-x"]],
  [2, "ERR_REFERENCE_INVALID", ["pull", "--", "-x"]],
  [5, "ERR_REGISTRY_UNAVAILABLE", ["pull", "--tls-verify=false", "127.0.0.1:1/a"]],
  [3, "ERR_IMAGE_NOT_FOUND", ["inspect", "none"]],
  [3, "ERR_IMAGE_NOT_FOUND", ["tag", "none", "other"]],
  [3, "ERR_IMAGE_NOT_FOUND", ["untag", "none"]],
  [3, "ERR_IMAGE_NOT_FOUND", ["rmi", "none"]],
  [3, "ERR_IMAGE_NOT_FOUND", ["mount", "none"]],
  [3, "ERR_IMAGE_NOT_FOUND", ["umount", "none"]],
  [2, "ERR_STOWAGE_USAGE", ["create", "none"]],
  [3, "ERR_POD_SANDBOX_NOT_FOUND", ["create", "--pod", "none", "none"]],
  [3, "ERR_POD_CONTAINER_NOT_FOUND", ["start", "none"]],
  [3, "ERR_POD_CONTAINER_NOT_FOUND", ["status", "none"]],
  [3, "ERR_POD_SANDBOX_NOT_FOUND", ["pod", "inspect", "none"]],
  [2, "ERR_STOWAGE_USAGE", ["pod"]],
  [2, "ERR_STOWAGE_USAGE", ["run"]],
  [2, "ERR_STOWAGE_USAGE", ["run", "--env", "novalue", "none"]],
  [2, "ERR_STOWAGE_USAGE", ["policy", "init"]],
  [2, "ERR_STOWAGE_USAGE", ["images", "a", "b"]],
  [2, "ERR_STOWAGE_USAGE", ["inspect"]],
  [2, "ERR_STOWAGE_USAGE", ["tag", "a"]],
  [2, "ERR_STOWAGE_USAGE", ["untag"]],
  [2, "ERR_STOWAGE_USAGE", ["rmi"]],
  [2, "ERR_STOWAGE_USAGE", ["start"]],
  [2, "ERR_STOWAGE_USAGE", ["stop"]],
  [2, "ERR_STOWAGE_USAGE", ["rm"]],
  [2, "ERR_STOWAGE_USAGE", ["ps", "x"]],
  [2, "ERR_STOWAGE_USAGE", ["status"]],
  [2, "ERR_STOWAGE_USAGE", ["mount"]],
  [2, "ERR_STOWAGE_USAGE", ["umount"]],
  [2, "ERR_STOWAGE_USAGE", ["info", "x"]],
  [2, "ERR_STOWAGE_USAGE", ["login"]],
  [2, "ERR_STOWAGE_USAGE", ["login", "h.io"]],
  [2, "ERR_STOWAGE_USAGE", ["login", "h.io", "--username", "u", "--password-stdin"]],
  [2, "ERR_STOWAGE_USAGE", ["logout"]],
  [2, "ERR_STOWAGE_USAGE", ["logout", "h.io", "--all"]],
  [2, "ERR_REGISTRY_INVALID_ARGUMENT", ["logout", "https://h.io"]],
  [3, "ERR_REGISTRY_NOT_LOGGED_IN", ["logout", "h.io"]],
  [1, "ERR_REGISTRY_INVALID_CONFIG", ["--registries-conf", "/absent", "pull", "h.io/a"]],
  [1, "ERR_REGISTRY_INVALID_CONFIG", ["--hosts-dir", "/absent", "pull", "h.io/a"]],
  [2, "ERR_STOWAGE_USAGE", ["version", "x"]],
  [2, "ERR_STOWAGE_USAGE", ["pod", "create"]],
  [2, "ERR_STOWAGE_USAGE", ["pod", "ls", "x"]],
  [2, "ERR_STOWAGE_USAGE", ["pod", "inspect"]],
  [2, "ERR_STOWAGE_USAGE", ["pod", "rm"]],
  [2, "ERR_REFERENCE_UPPERCASE", ["images", "UPPER"]],
  [2, "ERR_REFERENCE_UPPERCASE", ["inspect", "UPPER"]],
  [10, "ERR_POLICY_FILE_EXISTS", ["policy", "init", "--trust-all"]],
  // A01: given twice, empty, or another option for a value.
  [2, "ERR_STOWAGE_USAGE", ["images", "--root", "/nowhere/a", "--root", "/nowhere/b"]],
  [2, "ERR_STOWAGE_USAGE", ["--quiet", "images", "--quiet"]],
  [2, "ERR_STOWAGE_USAGE", ["pull", "--platform", "linux/arm64", "--platform=linux/amd64", "a"]],
  [2, "ERR_STOWAGE_USAGE", ["--policy", "", "images"]],
  [2, "ERR_STOWAGE_USAGE", ["--authfile=", "images"]],
  [2, "ERR_STOWAGE_USAGE", ["images", "--policy", "--quiet"]],
  [2, "ERR_STOWAGE_USAGE", ["images", ""]],
  [2, "ERR_STOWAGE_USAGE", ["policy", "init", "--trust"]],
  [2, "ERR_REFERENCE_INVALID", ["inspect", ""]],
  [2, "ERR_REFERENCE_INVALID", ["untag", ""]],
  [2, "ERR_REFERENCE_INVALID", ["rmi", ""]],
  [2, "ERR_REFERENCE_INVALID", ["umount", ""]],
  [2, "ERR_POD_INVALID_CONTAINER_ID", ["start", ""]],
  [2, "ERR_POD_INVALID_CONTAINER_ID", ["stop", ""]],
  [2, "ERR_POD_INVALID_CONTAINER_ID", ["rm", ""]],
  [2, "ERR_POD_INVALID_CONTAINER_ID", ["status", ""]],
  [2, "ERR_POD_INVALID_POD_NAME", ["pod", "create", ""]],
  [2, "ERR_POD_INVALID_POD_NAME", ["pod", "inspect", ""]],
  [2, "ERR_POD_INVALID_POD_NAME", ["pod", "rm", ""]],
  [2, "ERR_REFERENCE_NAME_TOO_LONG", ["pull", "a".repeat(100_000)]],
  // A02
  [2, "ERR_STORE_INVALID_ROOT", ["--root", "/", "images"]],
  [2, "ERR_STORE_INVALID_ROOT", ["--root", import.meta.dirname, "images"]],
  [2, "ERR_STORE_INVALID_ROOT", ["--root", "relative", "images"]],
  [2, "ERR_STORE_INVALID_ROOT", ["--run-root", "/", "images"]],
  [125, "ERR_RUNTIME_NOT_INSTALLED", ["run", "--runtime", "none", "image"]],
];

describe("bad input", () => {
  // None of these changes anything, so one world does for all.
  let world: CliWorld;
  beforeAll(async () => {
    world = await openCliWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const named = BAD.map(([code, errorCode, args]) => ({
    code,
    errorCode,
    args,
    words: JSON.stringify(args).slice(0, 80),
  }));
  test.for(named)("ends with $code and $errorCode: $words", async ({ code, errorCode, args }) => {
    const json = await world.run(["--format", "json", ...args]);
    const failure = JSON.parse(json.stderr);
    expect([json.code, failure.error.code, json.stdout]).toEqual([code, errorCode, ""]);
    expect(failure.error).toMatchObject({
      message: expect.stringMatching(/\S/),
      hint: expect.stringMatching(/\S/),
      causes: expect.any(Array),
    });
    const text = await world.run(args);
    expect([text.code, text.stdout]).toEqual([code, ""]);
    expect(text.stderr).toMatch(/^stowage: \S/);
    expect(text.stderr).not.toMatch(/\n\s+at |node:internal/);
  });
});

test("a place on this machine where a registry is meant is told what takes it", async () => {
  await using world = await openCliWorld();
  for (const args of [
    ["sync", "a.test/b", "oci:/tmp/layout"],
    ["push", "oci:/tmp/layout", "a.test/b"],
  ]) {
    const { stderr } = await world.run(args);
    expect(stderr).toContain("stowage copy is what takes oci:PATH");
  }
  const { stderr } = await world.run(["inspect", "oci:/tmp/layout"]);
  expect(stderr).toContain("a place on this machine");
});

test("a file of credentials that is not there is told before any registry is asked", async () => {
  await using world = await openCliWorld();
  await using registry = await startFaultyRegistry();
  const env = { STOWAGE_AUTHFILE: `${world.path}/none.json` };
  const name = `${registry.host}/app:1`;
  const { code, stderr } = await world.run(["pull", "--tls-verify=false", name], { env });
  expect([code, stderr]).toEqual([expect.any(Number), expect.stringContaining("none.json")]);
  expect(registry.requests).toEqual([]);
  expect(await world.run(["images"], { env })).toMatchObject({ code: 0 });
});

test("the version is the same, and fails alike, whether or not a variable says how", async () => {
  await using world = await openCliWorld();
  const unset = Object.fromEntries(
    Object.keys(world.env)
      .filter((name) => name.startsWith("STOWAGE_"))
      .map((name) => [name, undefined]),
  );
  const plain = await world.run(["version"], { env: unset });
  expect(plain).toEqual(await world.run(["version"]));
  expect(plain).toMatchObject({ code: 0, stderr: "" });
  const json = await world.run(["version"], { env: { ...unset, STOWAGE_FORMAT: "json" } });
  expect(JSON.parse(json.stdout)).toEqual({ version: plain.stdout.trim() });
  const extra = await world.run(["version", "x"], { env: unset });
  expect([extra.code, extra.stdout]).toEqual([2, ""]);
  const wrap = ["sh", "-c", '"$@" >/dev/full', "sh"];
  expect((await world.run(["version"], { env: unset, wrap })).code).toBe(9);
});

test.for([
  ["pull", "--creds", "me:canary", "h.io/a"],
  ["copy", "--dest-creds=me:canary", "oci:a", "docker://h.io/a"],
  ["login", "h.io", "-p", "canary"],
])(
  "a password on the command line is told where it belongs, and is not repeated: %j",
  async (args) => {
    await using world = await openCliWorld();
    const { code, stderr } = await world.run(args);
    expect([code, stderr]).toEqual([2, expect.stringContaining("standard input")]);
    expect(stderr).not.toContain("canary");
  },
);

test("what OpenSSL says of its source code is left out", async () => {
  await using world = await openCliWorld();
  const { code, stderr } = await world.run(["pull", world.image]);
  expect([code, stderr]).toEqual([5, expect.stringContaining("(wrong version number)")]);
  expect(stderr).not.toMatch(/openssl|[0-9A-F]{12}:error/);
});

test("version and help are results", async () => {
  await using world = await openCliWorld();
  expect(await world.ok("version")).toMatch(/^\d+\.\d+\.\d+$/);
  const help = await world.ok("--help");
  expect(help).toContain("pull");
  expect(help).toContain("commands about an export");
  expect(help).toContain("commands about a pod");
  expect(await world.ok("pull", "--help")).toContain("--tls-verify");
});

test("info tells where things are", async () => {
  await using world = await openCliWorld();
  const info = JSON.parse(await world.ok("--format", "json", "info"));
  expect(info).toMatchObject({
    root: world.env["STOWAGE_ROOT"],
    runRoot: world.env["STOWAGE_RUN_ROOT"],
    platform: expect.stringMatching(/\//),
  });
});

test("exit codes follow the kind", () => {
  const failure = (kind: string) => Object.assign(new Error("x"), { code: "ERR_X", kind });
  expect(
    ["NoSpace", "RateLimited", "DigestMismatch", "PolicyRejected", "Internal"].map((kind) =>
      exitCodeOf(failure(kind)),
    ),
  ).toEqual([9, 6, 8, 7, 1]);
  expect(exitCodeOf(Object.assign(new Error("x"), { code: "ENOSPC" }))).toBe(9);
});
