import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { startFaultyRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const TLS = "--tls-verify=false";
const WARNING = { warning: '299 - "this registry \\"ends\\" in May"' };
const SPENT = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600" };

describe.each([
  ["pull", (host: string) => ["pull", TLS, `${host}/shell:1`]],
  ["copy", (host, path) => ["copy", TLS, `docker://${host}/shell:1`, `oci:${path}/copy:it`]],
  ["tags", (host) => ["tags", TLS, `${host}/shell`]],
] as const satisfies readonly [string, (host: string, path: string) => string[]][])(
  "%s tells on stderr",
  (_, argsFor) => {
    test("what the registry wants its users to know, once", async () => {
      await using world = await openCliWorld();
      await using front = await startFront(world, { headers: () => WARNING });
      const { code, stderr } = await world.run(argsFor(front.host, world.path));
      expect(code).toBe(0);
      expect(stderr.match(/^stowage: warning: warning .*"ends.*$/gm)).toHaveLength(1);
    });

    test("that the registry will not answer any more, once", async () => {
      await using world = await openCliWorld();
      await using front = await startFront(world, { headers: () => SPENT });
      const { code, stderr } = await world.run(argsFor(front.host, world.path));
      expect(code).toBe(0);
      const told = stderr.match(/^stowage: warning: rate-limit-spent .*$/gm);
      expect(told).toHaveLength(1);
      expect(told?.[0]).toContain("limit=100 remaining=0 window=21600");
    });
  },
);

describe.each([
  ["pull", (name: string) => ["pull", TLS, name]],
  ["copy", (name, path) => ["copy", TLS, `docker://${name}`, `oci:${path}/copy:it`]],
] as const satisfies readonly [string, (name: string, path: string) => string[]][])(
  "%s through a mirror that sends other bytes",
  (_, argsFor) => {
    test("N20 brings the right ones from the registry, and names the mirror", async () => {
      await using world = await openCliWorld();
      await using mirror = await startFront(world, {
        alter: ({ url = "" }) => url.includes("/blobs/"),
      });
      await writeFile(
        join(world.path, "registries.conf"),
        `[[registry]]\nlocation = "${world.host}"\ninsecure = true\n` +
          `[[registry.mirror]]\nlocation = "${mirror.host}"\ninsecure = true\n`,
      );
      const { code, stderr } = await world.run(argsFor(world.image, world.path));
      expect(code).toBe(0);
      expect(stderr).toMatch(
        new RegExp(
          `^stowage: warning: mirror-failed repository=${mirror.host}/shell .*tampering=true$`,
          "m",
        ),
      );
    });
  },
);

describe.each([
  ["pull", (name: string) => ["pull", TLS, name]],
  ["copy", (name, path) => ["copy", TLS, `docker://${name}`, `oci:${path}/copy:it`]],
] as const satisfies readonly [string, (name: string, path: string) => string[]][])(
  "the progress of %s",
  (_, argsFor) => {
    test("says which mirror refused and why, what was asked again, and who served", async () => {
      await using world = await openCliWorld();
      await using failing = await startFaultyRegistry({
        script: ({ nth }) => ({ status: nth === 1 ? 503 : 404 }),
      });
      await using mirror = await startFront(world, {});
      const tables = [failing, mirror].map(
        ({ host }) => `[[registry.mirror]]\nlocation = "${host}"\ninsecure = true\n`,
      );
      await writeFile(
        join(world.path, "registries.conf"),
        `[[registry]]\nlocation = "registry.test"\n${tables.join("")}`,
      );
      const args = argsFor("registry.test/shell:1", world.path);
      const { code, stderr } = await world.run(args);
      expect(code).toBe(0);
      const lines = stderr.split("\n");
      const url = `${failing.url}/v2/shell/manifests/1`;
      expect(lines).toContainEqual(expect.stringMatching(RegExp(`^waiting  .* ${url}: HTTP 503`)));
      expect(lines).toContainEqual(expect.stringContaining(`passed   ${failing.host}/shell: `));
      expect(lines).toContainEqual(`mirror   ${mirror.host}/shell has 1`);
      expect(lines).toContainEqual(expect.stringMatching(RegExp(`  from ${mirror.host}$`)));
      expect((await world.run(["--quiet", ...args])).stderr).toBe("");
    });
  },
);

test("a layer that comes wrong is told with the image that it is of", async () => {
  await using world = await openCliWorld();
  await using front = await startFront(world, { alter: ({ url = "" }) => url.includes("/blobs/") });
  const name = `${front.host}/shell:1`;
  for (const args of [
    ["pull", TLS, name],
    ["copy", TLS, `docker://${name}`, `oci:${world.path}/copy:it`],
  ]) {
    const { code, stderr } = await world.run(["--quiet", ...args]);
    expect(code).toBe(8);
    expect(stderr).toMatch(RegExp(`^stowage: .*${name}.*: sha256:`));
  }
});

test("push tells on stderr what the registry wants its users to know", async () => {
  await using world = await openCliWorld();
  await world.ok("pull", TLS, world.image);
  await using front = await startFront(world, { headers: () => WARNING });
  // Our registry takes nothing; it says so with its warning.
  const pushed = await world.run(["push", TLS, world.image, `${front.host}/other:1`]);
  expect(pushed.code).not.toBe(0);
  expect(pushed.stderr).toMatch(/^stowage: warning: warning .*"ends/m);
});

interface Front {
  readonly headers?: (asked: IncomingMessage) => Readonly<Record<string, string>>;
  /** Whether the first byte of the answer is to be another. */
  readonly alter?: (asked: IncomingMessage) => boolean;
}

/** The world's registry, seen through somebody who adds to its answers. */
async function startFront({ host }: CliWorld, { headers, alter }: Front) {
  const [hostname, port] = host.split(":");
  const answer = (asked: IncomingMessage, response: ServerResponse): void => {
    const { method, url: path } = asked;
    const passed = request({ hostname, port, method, path, headers: asked.headers }, (got) => {
      response.writeHead(got.statusCode ?? 500, { ...got.headers, ...headers?.(asked) });
      let isFirst = alter?.(asked) ?? false;
      got.on("data", (chunk: Buffer) => {
        if (isFirst) chunk.writeUInt8((chunk[0] ?? 0) ^ 1, 0);
        isFirst = false;
        response.write(chunk);
      });
      got.on("end", () => response.end());
    });
    passed.on("error", () => response.destroy());
    asked.pipe(passed);
  };
  const server = createServer(answer);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
