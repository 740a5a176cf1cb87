import { once } from "node:events";
import { createServer, request } from "node:http";
import { execFile } from "node:child_process";
import { createServer as createTlsServer } from "node:https";
import { promisify } from "node:util";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import { startFaultyRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

const TLS = "--tls-verify=false";
const RETRY_SOON = { "retry-after": "0" };

describe("--resolve", () => {
  test("sends the names that it says to their addresses, for every command", async () => {
    await using world = await openCliWorld();
    const host = `registry.test:${world.host.split(":")[1]}`;
    const flags = ["--resolve", `${host}:127.0.0.1`, "--resolve", "other.test:443:[::1]"];
    expect(await world.ok("pull", TLS, `${host}/shell:1`, ...flags)).toContain(world.digest);
    const copied = [`docker://${host}/shell:1`, `oci:${world.path}/copy:it`];
    expect(await world.ok(...flags, "copy", TLS, ...copied)).toBe(world.digest);
    expect(await world.ok(...flags, "tags", TLS, `${host}/shell`)).toBe("1");
    const env = { STOWAGE_RESOLVE: `${host}:127.0.0.1,other.test:443:::1` };
    expect(await world.run(["tags", TLS, `${host}/shell`], { env })).toMatchObject({ code: 0 });
  });

  test.for([
    "registry.test",
    "registry.test:443",
    "registry.test:443:elsewhere",
    "registry.test:443:127.0.0.1:80",
    "127.0.0.1:443:127.0.0.1",
    "https://registry.test:443:127.0.0.1",
  ])("%j is a mistake", async (text) => {
    await using world = await openCliWorld();
    const { code, stderr } = await world.run(["--resolve", text, "images"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("HOST:PORT:ADDRESS")]);
  });
});

describe("containerd's hosts.toml", () => {
  test("says where a registry is read: of --hosts-dir, of its variable, or of the usual place", async () => {
    await using world = await openCliWorld();
    const places = [".config/containerd/certs.d", "named", "varied"];
    for (const [index, place] of places.entries()) {
      const folder = join(world.path, place, `r${index}.test`);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "hosts.toml"), `server = "http://${world.host}"\n`);
    }
    expect(await world.ok("pull", "r0.test/shell:1")).toBe(`r0.test/shell@${world.digest}`);
    const named = ["--hosts-dir", join(world.path, "named"), "--log-level", "debug"];
    const { stderr } = await world.run([
      ...named,
      "copy",
      "docker://r1.test/shell:1",
      `oci:${world.path}/it`,
    ]);
    expect(stderr).toContain(
      `hosts-file repository=r1.test/shell file=${world.path}/named/r1.test/hosts.toml keys=server sources=${world.host}/shell`,
    );
    const env = { STOWAGE_HOSTS_DIR: join(world.path, "varied") };
    expect(await world.run(["tags", "r2.test/shell"], { env })).toMatchObject({ stdout: "1\n" });
    expect(await world.run(["--log-level", "error", "tags", "r2.test/shell"])).toMatchObject({
      code: 5,
    });
  });
});

test("--limit-rate holds all transfers of a copy to so many bytes a second", async () => {
  await using world = await openCliWorld();
  const args = ["--format", "json", "copy", TLS, `docker://${world.image}`];
  const started = performance.now();
  const limited = ["--limit-rate", "500kB", ...args, `oci:${world.path}/copy:it`];
  const { bytes } = JSON.parse(await world.ok(...limited));
  const seconds = (performance.now() - started) / 1000;
  expect(bytes).toBeGreaterThan(1_000_000);
  expect(seconds).toBeGreaterThan(bytes / 500_000 - 0.2);
});

test("--req-per-sec spaces the requests of a pull", async () => {
  await using world = await openCliWorld();
  const times: number[] = [];
  const server = createServer((asked, response) => {
    // The first one only finds out that TLS is not spoken here.
    if (asked.url !== "/v2/") times.push(performance.now());
    const [hostname, port] = world.host.split(":");
    const { url: path, method, headers } = asked;
    request({ hostname, port, path, method, headers }, (got) => {
      response.writeHead(got.statusCode ?? 500, got.headers);
      got.pipe(response);
    }).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    await world.ok("--req-per-sec", "3", "pull", TLS, `127.0.0.1:${port}/shell:1`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  expect(times.length).toBeGreaterThanOrEqual(3);
  const first = times[0] ?? 0;
  const last = times.at(-1) ?? 0;
  // A request may be late, and the next one is not for that.
  expect(last - first).toBeGreaterThan(((times.length - 1) * 1000) / 3 - 100);
});

test("--on-rate-limit waits for a registry that was asked enough, fails at once, or asks the next", async () => {
  await using world = await openCliWorld();
  const list = /\/(?:tags\/list|manifests\/1)$/u;
  await using limited = await startFaultyRegistry({
    script: ({ path }) => (path.endsWith("/tags/list") ? { body: '{"tags":["1"]}' } : undefined),
  });
  const asked = (): number => limited.requests.filter(({ path }) => list.test(path)).length;
  const refuse = (times: number): void => {
    const rule = { match: { path: list, nth: 1 }, do: [{ status: 429 }, { headers: RETRY_SOON }] };
    limited.rules.push(...Array.from({ length: times }, () => ({ ...rule })));
  };
  const tags = ["tags", TLS, `${limited.host}/shell`];
  refuse(1);
  const failed = await world.run(["--format", "json", "--on-rate-limit", "fail", ...tags]);
  expect([failed.code, asked()]).toEqual([6, 1]);
  expect(JSON.parse(failed.stderr)).toMatchObject({
    error: {
      code: "ERR_REGISTRY_RATE_LIMITED",
      hint: expect.stringContaining("--on-rate-limit"),
    },
  });
  refuse(6);
  expect(await world.ok("--on-rate-limit", "1m", ...tags)).toBe("1");
  expect(asked()).toBe(8);
  refuse(100);
  const mirror = `[[registry.mirror]]\nlocation = "${limited.host}"\ninsecure = true\n`;
  const registry = `[[registry]]\nlocation = "${world.host}"\ninsecure = true\n`;
  await writeFile(join(world.path, "registries.conf"), registry + mirror);
  const env = { STOWAGE_ON_RATE_LIMIT: "next,1m" };
  const pulled = await world.run(["pull", world.image], { env });
  expect([pulled.stderr, pulled.code]).toEqual([expect.stringContaining("429"), 0]);
  expect(asked()).toBe(9);
});

test.for([
  ["--on-rate-limit", "soon"],
  ["--on-rate-limit", "next,"],
  ["--on-rate-limit", "next,fail"],
  ["--on-rate-limit", "15m,next"],
  ["--limit-rate", "0"],
  ["--limit-rate", "fast"],
  ["--req-per-sec", "0"],
  ["--req-per-sec", "1.5"],
] as const)("%s %s is a mistake", async ([flag, value]) => {
  await using world = await openCliWorld();
  const { code, stderr } = await world.run([flag, value, "images"]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(`${flag} takes (?:a |fail, )`)]);
  if (flag === "--on-rate-limit") expect(stderr).toMatch(/fail, a duration .*next,15m/);
});

test("a certificate that nobody trusts is told without how Node could be started", async () => {
  await using world = await openCliWorld();
  const folder = join(world.path, "tls");
  await mkdir(folder);
  const [keyFile, file] = [join(folder, "own.key"), join(folder, "own.crt")];
  const made = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1`;
  await promisify(execFile)("openssl", [...made.split(" "), "-keyout", keyFile, "-out", file]);
  const options = { cert: await readFile(file), key: await readFile(keyFile) };
  const server = createTlsServer(options).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  for (const format of ["text", "json"]) {
    const { code, stderr } = await world.run(["tags", "--format", format, `127.0.0.1:${port}/app`]);
    expect(code).toBe(5);
    expect(stderr).toContain("the certificate is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT)");
    expect(stderr).not.toMatch(/Node/);
  }
  server.close();
  server.closeAllConnections();
});
