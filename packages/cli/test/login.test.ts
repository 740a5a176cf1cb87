import { execFile } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { hasPeer, startDockerRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const run = promisify(execFile);
const PASSWORD = "canary pa:ss";
const READY = hasPeer("docker-registry") && hasPeer("htpasswd") && hasPeer("skopeo");

describe.skipIf(!READY)("login (needs docker-registry, htpasswd and skopeo)", () => {
  test("keeps what the registry takes, for pulls and for other tools, until logout", async () => {
    await using world = await openCliWorld();
    await using registry = await startWithPassword();
    const { host } = registry;
    const image = `${host}/team/shell:1`;
    const creds = ["--dest-creds", `user:${PASSWORD}`, "--dest-tls-verify=false"];
    const from = [`docker://${world.image}`, "--src-tls-verify=false"];
    await run("skopeo", ["--insecure-policy", "copy", ...from, ...creds, `docker://${image}`]);
    const flags = ["--username", "user", "--password-stdin", "--tls-verify=false"];
    const wrong = await world.run(["login", host, ...flags], { input: "canary-wrong\n" });
    expect([wrong.code, wrong.stdout]).toEqual([4, ""]);
    expect(wrong.stderr).not.toContain("canary");
    const pull = ["pull", "--tls-verify=false", image];
    expect((await world.run(pull)).code).toBe(4);
    const login = await world.run(["--format", "json", "login", host, ...flags], {
      input: `${PASSWORD}\n`,
    });
    const authfile = join(world.path, "auth.json");
    expect(JSON.parse(login.stdout)).toEqual({
      registry: host,
      storedIn: authfile,
      verified: true,
    });
    expect((await stat(authfile)).mode & 0o777).toBe(0o600);
    expect(await world.ok(...pull)).toContain(`${host}/team/shell@`);
    const told = await run("skopeo", ["login", "--get-login", "--authfile", authfile, host]);
    expect(told.stdout.trim()).toBe("user");
    expect(await world.ok("logout", host)).toBe(`logged out of ${host}`);
    expect(await readFile(authfile, "utf8")).not.toContain(host);
    expect((await world.run(["logout", host])).code).toBe(3);
    await world.ok("logout", "--all");
  });

  test("asks at a terminal, and shows nothing of the password", async () => {
    await using world = await openCliWorld();
    await using registry = await startWithPassword();
    const screen = await onTerminal(
      world,
      ["login", registry.host, "--tls-verify=false"],
      [
        ["Username: ", "user\r"],
        ["Password: ", `${PASSWORD}\r`],
      ],
    );
    expect(screen).toContain(`logged in to ${registry.host}`);
    expect(screen).not.toContain("canary");
    expect(await readFile(join(world.path, "auth.json"), "utf8")).toContain(registry.host);
  });

  test("warns when the registry did not want to know", async () => {
    await using world = await openCliWorld();
    const flags = ["--username", "user", "--password-stdin", "--tls-verify=false"];
    const login = await world.run(["login", world.host, ...flags], { input: PASSWORD });
    expect(login.code).toBe(0);
    expect(login.stderr).toContain("asked for no password");
  });
});

describe("what is configured for registries", () => {
  test("--log-level debug tells files, keys and places, and no secret", async () => {
    await using world = await openCliWorld();
    const conf = join(world.path, "registries.conf");
    await writeFile(
      conf,
      `[[registry]]\nlocation = "r.invalid"\n[[registry.mirror]]\nlocation = "${world.host}"\ninsecure = true\n`,
    );
    const auth = Buffer.from(`user:${PASSWORD}`).toString("base64");
    await writeFile(
      join(world.path, "auth.json"),
      JSON.stringify({ auths: { [world.host]: { auth } } }),
    );
    const pull = await world.run(["--log-level", "debug", "pull", "r.invalid/shell:1"]);
    expect([pull.code, pull.stdout]).toEqual([0, `r.invalid/shell@${world.digest}\n`]);
    for (const line of [
      `debug: config-file file=${conf} unknownKeys=none`,
      `debug: registry-table repository=r.invalid/shell prefix=r.invalid file=${conf} sources=${world.host}/shell,r.invalid/shell`,
      `debug: credentials host=${world.host} repository=shell source=${world.path}/auth.json key=${world.host}`,
      `warning: exposed-file file=${world.path}/auth.json mode=0644`,
      `debug: source repository=r.invalid/shell target=1 source=${world.host}/shell mirror=true`,
    ]) {
      expect(pull.stderr).toContain(`stowage: ${line}\n`);
    }
    expect(pull.stderr).not.toMatch(new RegExp(`canary|${auth}`));
    const silent = await world.run([
      "--quiet",
      "--log-level",
      "debug",
      "pull",
      "r.invalid/shell:1",
    ]);
    expect(silent.stderr).toBe("");
  });

  test("a proxy that is not there is named, and its password is not", async () => {
    await using world = await openCliWorld();
    const env = { HTTPS_PROXY: `http://user:canary@127.0.0.1:1` };
    const pull = await world.run(["--log-level", "debug", "pull", "r.invalid/shell:1"], { env });
    expect([pull.code, pull.stdout]).toEqual([5, ""]);
    expect(pull.stderr).toContain("the proxy http://127.0.0.1:1");
    expect(pull.stderr).toContain("proxy=http://127.0.0.1:1 variable=HTTPS_PROXY");
    expect(pull.stderr).not.toContain("canary");
  });

  test("a blocked registry ends with 7 and names the file", async () => {
    await using world = await openCliWorld();
    const conf = join(world.path, "other.conf");
    await writeFile(conf, `[[registry]]\nlocation = "${world.host}"\nblocked = true\n`);
    const args = ["--registries-conf", conf, "pull", "--tls-verify=false", world.image];
    const pull = await world.run(args);
    expect(pull.code).toBe(7);
    expect(pull.stderr).toContain(conf);
  });

  test("a short name is asked about at a terminal", async () => {
    await using world = await openCliWorld();
    const conf = `unqualified-search-registries = ["r.invalid", "${world.host}"]\n`;
    await writeFile(join(world.path, "registries.conf"), conf);
    const screen = await onTerminal(
      world,
      ["--no-progress", "pull", "--tls-verify=false", "shell:1"],
      [["Which one (1-2)? ", "x\r"]],
    );
    expect(screen).toContain(`1) r.invalid/shell:1`);
    expect(screen).toContain("none of them was chosen");
  });
});

async function startWithPassword() {
  const { stdout } = await run("htpasswd", ["-Bbn", "user", PASSWORD]);
  return startDockerRegistry({ htpasswd: stdout });
}

/** Runs a command on a terminal of its own, answers what it asks, and resolves to what it showed. */
async function onTerminal(
  world: CliWorld,
  args: readonly string[],
  answers: readonly (readonly [question: string, answer: string])[],
): Promise<string> {
  const running = world.startOnTerminal(args);
  for (const [question, answer] of answers) {
    await running.printed(question);
    running.type(answer);
  }
  return (await running.outcome).stdout;
}
