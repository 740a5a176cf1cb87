import { chmodSync, existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";

import { loadCredentials } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";
import { inspectChain } from "../support/error-chain.ts";
import { writeHelper } from "../support/helper-script.ts";

const CANARY = "canary-secret";

describe("a credential helper", () => {
  test("gets the server alone on standard input, one argument, and an environment without our secrets", async () => {
    using directory = new TempDir();
    const seen = directory.file("seen");
    const script = `{ echo "$#:$1"; cat; pwd; env; } > '${seen}'; echo '{"Username":"u","Secret":"s"}'`;
    const lookup = lookupOf(directory, script, {
      NODE_OPTIONS: "--require=x",
      LD_PRELOAD_X: "x",
      STOWAGE_AUTHFILE: "x",
      GITHUB_TOKEN: CANARY,
      AWS_PROFILE: "work",
      HOME: directory.path,
    });
    expect(await lookup("h.io:5000", "a/b")).toEqual({
      username: "u",
      password: "s",
      source: expect.stringContaining("docker-credential-test"),
    });
    const told = readFileSync(seen, "utf8");
    expect(told).toMatch(/^1:get\nh\.io:5000\n\/\n/u);
    expect(told).toContain("AWS_PROFILE=work");
    expect(told).toContain(`HOME=${directory.path}`);
    expect(told).not.toMatch(/NODE_OPTIONS|LD_PRELOAD|STOWAGE|GITHUB|canary/u);
  });

  test("a user called <token> has an identity token for its secret", async () => {
    using directory = new TempDir();
    const lookup = lookupOf(directory, `echo '{"Username":"<token>","Secret":"${CANARY}"}'`);
    expect(await lookup("h.io", "a")).toMatchObject({ identityToken: CANARY });
  });

  test("that does not know the host leaves it to the next file; an answer ends the search", async () => {
    using home = new TempDir();
    const script = `read s; [ "$s" = known.io ] && echo '{"Username":"helper","Secret":"s"}' && exit 0; echo 'credentials not found in native keychain'; exit 1`;
    const PATH = writeHelper(home, "test", script);
    const env = {
      PATH,
      HOME: home.path,
      XDG_RUNTIME_DIR: "/-",
      DOCKER_AUTH_CONFIG: JSON.stringify({
        credHelpers: { "known.io": "test", "other.io": "test" },
        auths: { "other.io": entry("shadowed") },
      }),
      DOCKER_CONFIG: home.path,
    };
    home.write(
      "config.json",
      JSON.stringify({ auths: { "other.io": entry("file"), "known.io": entry("file") } }),
    );
    const lookup = loadCredentials({ env });
    expect(await lookup("known.io", "a")).toMatchObject({ username: "helper" });
    expect(await lookup("other.io", "a")).toMatchObject({ username: "file" });
    expect(await lookup("third.io", "a")).toBeUndefined();
  });

  test("Docker's store is asked for what no entry has, for its Hub under Docker's own name", async () => {
    using directory = new TempDir();
    const script = `read s; echo "{\\"ServerURL\\":\\"$s\\",\\"Username\\":\\"$s\\",\\"Secret\\":\\"s\\"}"`;
    const PATH = writeHelper(directory, "test", script);
    const authfile = directory.write(
      "config.json",
      JSON.stringify({
        credsStore: "test",
        auths: { "h.io": {}, "full.io": entry("file"), "https://index.docker.io/v1/": {} },
      }),
    );
    const lookup = loadCredentials({ authfile, env: { PATH } });
    for (const [host, username] of [
      ["h.io", "h.io"],
      ["absent.io", "absent.io"],
      ["full.io", "file"],
      ["docker.io", "https://index.docker.io/v1/"],
    ] as const) {
      expect(await lookup(host, "a")).toMatchObject({ username });
    }
  });

  test.for([
    ["ends with 3", `echo ${CANARY}; echo ${CANARY} >&2; exit 3`],
    ["answers no JSON", `echo ${CANARY}; echo ${CANARY} >&2`],
    ["answers a list", `echo '["${CANARY}"]'`],
    [
      "answers for another server",
      `echo '{"ServerURL":"evil.io","Username":"u","Secret":"${CANARY}"}'`,
    ],
    ["has a user with a newline (C15)", `printf '{"Username":"u\\\\nx","Secret":"${CANARY}"}'`],
    ["has a secret that is no text", `echo '{"Username":"u","Secret":{"x":"${CANARY}"}}'`],
    ["has a secret without a user", `echo '{"Username":"","Secret":"${CANARY}"}'`],
    [
      "says 1 MiB (C15)",
      `echo '{"Username":"u","Secret":"'; head -c 1048576 /dev/zero | tr '\\0' x; echo '"}'`,
    ],
    ["says more and more (C13)", "exec yes"],
    ["is killed", "kill -9 $$"],
  ] as const)("C13 V06 that %s: CredHelperFailed, and no secret shown", async ([, script]) => {
    using directory = new TempDir();
    const failure: unknown = await lookupOf(directory, script)("h.io", "a").catch((e) => e);
    expect(failure).toMatchObject({
      code: "ERR_REGISTRY_HELPER_FAILED",
      kind: "CredHelperFailed",
      message: expect.stringContaining("docker-credential-test"),
    });
    expect(inspectChain(failure)).not.toContain(CANARY);
  });

  test("C13 that is not there, or may not be run, is no anonymous caller", async () => {
    using directory = new TempDir();
    const lookup = lookupOf(directory, "exit 0");
    chmodSync(directory.file("bin/docker-credential-test"), 0o644);
    await expect(lookup("h.io", "a")).rejects.toMatchObject({ kind: "CredHelperFailed" });
    chmodSync(directory.file("bin/docker-credential-test"), 0o755);
    const authfile = directory.file("auth.json");
    const here = relative(process.cwd(), directory.file("bin"));
    const nearby = loadCredentials({ authfile, env: { PATH: `${here}:` } });
    await expect(nearby("h.io", "a")).rejects.toMatchObject({
      message: expect.stringContaining("is not on PATH"),
    });
  });

  test("C13 that hangs is given up with all its children, when the caller goes away", async () => {
    using directory = new TempDir();
    const pids = directory.file("pids");
    const script = `sleep 600 & echo $! > '${pids}.new'; echo $$ >> '${pids}.new'; mv '${pids}.new' '${pids}'; wait`;
    const controller = new AbortController();
    const reason = new Error("enough");
    const asked = lookupOf(directory, script)("h.io", "a", { signal: controller.signal });
    asked.catch(() => {});
    await expect.poll(() => existsSync(pids), { timeout: 5000 }).toBe(true);
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    for (const pid of readFileSync(pids, "utf8").trim().split("\n")) {
      await expect.poll(() => isAlive(Number(pid))).toBe(false);
    }
  });

  test("C13 that never answers is given up after 10 seconds", { timeout: 20_000 }, async () => {
    using directory = new TempDir();
    const started = performance.now();
    await expect(lookupOf(directory, "exec sleep 600")("h.io", "a")).rejects.toMatchObject({
      kind: "CredHelperFailed",
    });
    expect(performance.now() - started).toBeLessThan(12_000);
  });

  test("C13 a child that keeps its output open ends with it", async () => {
    using directory = new TempDir();
    const script = `sleep 600 & echo '{"Username":"u","Secret":"s"}'`;
    const started = performance.now();
    expect(await lookupOf(directory, script)("h.io", "a")).toMatchObject({ username: "u" });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test.for(["h.io\nevil.io", "h.io%0aevil.io", "h io", "hé.io", "h.io\r", "-h=io", "h.io/x"])(
    "C14 V08 is never run for the server %j",
    async (host) => {
      using directory = new TempDir();
      const script = `touch '${directory.file("ran")}'; echo '{"Username":"u","Secret":"s"}'`;
      const PATH = writeHelper(directory, "test", script);
      const lookup = loadCredentials({ helpers: ["test"], env: { PATH, HOME: directory.path } });
      const outcome = lookup(host, "a");
      await expect(outcome).rejects.toMatchObject({ kind: "CredHelperFailed" });
      expect(existsSync(directory.file("ran"))).toBe(false);
    },
  );

  test.for(["../../bin/sh", "a b", "-x", "", "x\0y", "/bin/sh", "a.b", "x".repeat(65)])(
    "C12 of the name %j is a mistake in the file",
    async (name) => {
      using directory = new TempDir();
      const text = JSON.stringify({ credHelpers: { "h.io": name } });
      const authfile = directory.write("auth.json", text);
      await expect(loadCredentials({ authfile })("h.io", "a")).rejects.toMatchObject({
        code: "ERR_REGISTRY_INVALID_AUTH_FILE",
        kind: "ConfigFileInvalid",
      });
    },
  );
});

function lookupOf(directory: TempDir, script: string, env: Readonly<Record<string, string>> = {}) {
  const PATH = writeHelper(directory, "test", script);
  const authfile = directory.write(
    "auth.json",
    JSON.stringify({ credHelpers: { "h.io": "test", "h.io:5000": "test" } }),
  );
  return loadCredentials({ authfile, env: { ...env, PATH } });
}

function entry(username: string): { readonly auth: string } {
  return { auth: Buffer.from(`${username}:x`).toString("base64") };
}

function isAlive(pid: number): boolean {
  try {
    // A zombie answers to signals, but does nothing any more.
    return !/^State:\s+Z/mu.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
