import { readFileSync } from "node:fs";

import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeCertificate, TempDir } from "./support/docker-registry.ts";
import { makeImage } from "./support/images.ts";
import { serve } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([]);
const LATEST = parseTag("latest");

describe("resolve", () => {
  test("sends a name to the address that it is given, under its own name", async () => {
    await using server = await serve((_, response) => response.end(MANIFEST));
    const host = `registry.invalid:${new URL(server.origin).port}`;
    const resolve = { [host.toUpperCase()]: "127.0.0.1" };
    await using client = createRegistryClient({ plainHttp: true, resolve });
    await client.repository(parseRepository(`${host}/team/app`)).fetchManifest(LATEST);
    expect(server.requests).toMatchObject([{ headers: { host } }]);
    await using other = createRegistryClient({
      plainHttp: true,
      attempts: 1,
      resolve: { "registry.invalid:1": "127.0.0.1" },
    });
    await expect(
      other.repository(parseRepository(`${host}/team/app`)).fetchManifest(LATEST),
    ).rejects.toMatchObject({ code: "ERR_REGISTRY_UNAVAILABLE" });
  });

  test("leaves TLS to be held to the name", async () => {
    using directory = new TempDir();
    const { ca, certificate, key } = makeCertificate(directory);
    const tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
    await using server = await serve((_, response) => response.end(MANIFEST), {
      tls,
      name: "localhost",
    });
    const { port } = new URL(server.origin);
    const resolve = { [`registry.invalid:${port}`]: "127.0.0.1" };
    await using client = createRegistryClient({ tls: { ca: [ca] }, attempts: 1, resolve });
    await client.repository(parseRepository(`localhost:${port}/a`)).fetchManifest(LATEST);
    await expect(
      client.repository(parseRepository(`registry.invalid:${port}/a`)).fetchManifest(LATEST),
    ).rejects.toMatchObject({ code: "ERR_REGISTRY_TLS" });
    expect(server.requests).toHaveLength(1);
  });

  test.for([
    { "registry.example": "127.0.0.1" },
    { "10.0.0.1:443": "127.0.0.1" },
    { "registry.example:443": "elsewhere.example" },
    { "registry.example:443": "127.0.0.1:5000" },
    { "registry.example:70000": "127.0.0.1" },
  ])("refuses %j", (resolve) => {
    expect(() => createRegistryClient({ resolve })).toThrow(
      expect.objectContaining({ code: "ERR_REGISTRY_INVALID_ARGUMENT" }),
    );
  });
});
