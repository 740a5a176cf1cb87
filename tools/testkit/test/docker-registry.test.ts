import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { get, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";

import { digestOf } from "@stowage/content";
import {
  hasPeer,
  makeCertificates,
  pushRandomImage,
  startDockerRegistry,
  tempDir,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

describe.runIf(hasPeer("docker-registry"))("docker-registry, if installed", () => {
  test("answers, and is gone after its scope", async () => {
    let url: string;
    {
      await using registry = await startDockerRegistry();
      url = registry.url;
      expect((await fetch(`${url}/v2/`)).status).toBe(200);
    }
    await expect(fetch(`${url}/v2/`)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
  });

  test("keeps a random image, the same for the same seed, over a restart", async () => {
    await using registry = await startDockerRegistry();
    const { url } = registry;
    const image = { url, repository: "a/b", layers: [5000, 100], seed: "seed" };
    const { manifest, size } = await pushRandomImage({ ...image, tag: "1" });
    await registry.restart();
    const again = await pushRandomImage({ ...image, tag: "2" });
    expect(again).toEqual({ manifest, size });
    const response = await fetch(`${url}/v2/a/b/manifests/1`, {
      headers: { accept: manifest.mediaType },
    });
    expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(manifest.digest);
  });

  test.runIf(hasPeer("htpasswd"))("asks for a password (with htpasswd)", async () => {
    const htpasswd = execFileSync("htpasswd", ["-Bbn", "user", "secret"], { encoding: "utf8" });
    await using registry = await startDockerRegistry({ htpasswd });
    const as = (user: string) =>
      fetch(`${registry.url}/v2/`, {
        headers: { authorization: `Basic ${Buffer.from(user).toString("base64")}` },
      });
    expect([(await as("user:wrong")).status, (await as("user:secret")).status]).toEqual([401, 200]);
  });

  test.runIf(hasPeer("openssl"))("speaks TLS (with openssl)", async () => {
    await using folder = await tempDir();
    const { authority, server: tls } = await makeCertificates(folder.path);
    await using registry = await startDockerRegistry({ tls });
    const options: RequestOptions = { ca: await readFile(authority), agent: false };
    const [response] = (await once(get(`${registry.url}/v2/`, options), "response")) as [
      IncomingMessage,
    ];
    response.resume();
    expect([registry.url.startsWith("https:"), response.statusCode]).toEqual([true, 200]);
  });
});
