import { readFileSync } from "node:fs";

import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient, type RegistryClientOptions } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeCertificate, TempDir } from "./support/docker-registry.ts";
import { makeImage } from "./support/images.ts";
import { type ScriptedServer, serve, serveRaw } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([]);
const LATEST = parseTag("latest");
const CREDENTIALS = { bearerToken: "canary-token" };

describe("redirects", () => {
  test.for([301, 302, 303, 307, 308])("H16 %i: five are followed, by GET", async (status) => {
    await using server = await chain(status, 5);
    await fetchFrom(server);
    expect(server.requests.map(({ method }) => method)).toEqual(Array(6).fill("GET"));
  });

  test("H16 a sixth, and a circle, are RedirectRefused", async () => {
    for (const length of [6, Infinity]) {
      await using server = await chain(302, length);
      await expect(fetchFrom(server)).rejects.toMatchObject({ kind: "RedirectRefused" });
      expect(server.requests).toHaveLength(6);
    }
  });

  test("H17 V04 another port gets no credential", async () => {
    await using blobs = await serve((_, response) => response.end(MANIFEST));
    await using server = await serve((_, response) => {
      response.writeHead(307, { location: `${blobs.origin}/x?signature=1`, "set-cookie": "a=b" });
      response.end();
    });
    await fetchFrom(server, { credentials: CREDENTIALS });
    expect(server.requests[0]?.headers.authorization).toBe("Bearer canary-token");
    const headers = Object.keys(blobs.requests[0]?.headers ?? {}).sort();
    expect(headers).toEqual(["accept", "accept-encoding", "connection", "host", "user-agent"]);
  });

  test("V01 another host's challenge is not answered", async () => {
    await using blobs = await serve((_, response) =>
      response.writeHead(401, { "www-authenticate": "Basic realm=x" }).end(),
    );
    await using server = await serve((_, response) =>
      response.writeHead(307, { location: blobs.origin }).end(),
    );
    const credentials = { username: "user", password: "canary" };
    await expect(fetchFrom(server, { credentials })).rejects.toMatchObject({ kind: "AuthFailed" });
    expect(blobs.requests).toHaveLength(1);
    expect(blobs.requests[0]?.headers.authorization).toBeUndefined();
  });

  test.for([
    ["file:///etc/passwd", "RedirectRefused"],
    ["ftp://127.0.0.1/", "RedirectRefused"],
    ["http://user:canary@127.0.0.1/", "RedirectRefused"],
    ["http://[", "RedirectRefused"],
    ["", "RegistryProtocol"],
  ] as const)("H17 H18 Location %j is %s", async ([location, kind]) => {
    await using server = await serve((_, response) => {
      if (location !== "") response.setHeader("location", location);
      response.writeHead(302).end();
    });
    await expect(fetchFrom(server)).rejects.toMatchObject({
      kind,
      message: expect.not.stringContaining("canary"),
    });
  });

  test("H18 two Locations are RegistryProtocol", async () => {
    await using server = await serveRaw((socket) =>
      socket.end("HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"),
    );
    await expect(fetchFrom(server)).rejects.toMatchObject({ kind: "RegistryProtocol" });
  });

  test("H17 from https to http is refused, and nothing asked there", async () => {
    using directory = new TempDir();
    const { ca, certificate, key } = makeCertificate(directory);
    const pem = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
    await using plain = await serve((_, response) => response.end(MANIFEST));
    await using server = await serve(
      (_, response) => response.writeHead(302, { location: plain.origin }).end(),
      { tls: pem },
    );
    await expect(fetchFrom(server, { plainHttp: false, tls: { ca: [ca] } })).rejects.toMatchObject({
      kind: "RedirectRefused",
    });
    expect(plain.requests).toEqual([]);
  });

  test("N15 a redirect's host that is down: a fresh redirect is asked for", async () => {
    const down = await serve(() => {});
    await down[Symbol.asyncDispose]();
    await using blobs = await serve((_, response) => response.end(MANIFEST));
    await using server = await serve((_, response, { requests }) => {
      const location = requests.length === 1 ? down.origin : blobs.origin;
      response.writeHead(307, { location }).end();
    });
    await fetchFrom(server);
    expect(server.requests).toHaveLength(2);
  });
});

async function fetchFrom(server: ScriptedServer, options: RegistryClientOptions = {}) {
  await using client = createRegistryClient({ plainHttp: true, retryDelay: 1, ...options });
  const repository = client.repository(parseRepository(`${server.host}/team/app`));
  return await repository.fetchManifest(LATEST);
}

async function chain(status: number, length: number): Promise<ScriptedServer> {
  return serve((_, response, { requests }) => {
    if (requests.length > length) return response.end(MANIFEST);
    return response.writeHead(status, { location: `/hop/${requests.length}` }).end();
  });
}
