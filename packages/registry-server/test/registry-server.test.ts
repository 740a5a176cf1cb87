import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { promisify } from "node:util";

import { createMemoryContentStore, digestOf, EMPTY_DESCRIPTOR, MEDIA_TYPE } from "@stowage/content";
import { createRegistryServer } from "@stowage/registry-server";
import {
  buildImage,
  buildIndex,
  hasPeer,
  putImage,
  putIndex,
  startDockerRegistry,
  tempDir,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

const run = promisify(execFile);

describe("manifests", () => {
  test("come with their own type and digest, by tag and by digest", async () => {
    await using world = await serve();
    const image = await putImage(world.content, { layers: [] });
    const index = await putIndex(world.content, [image]);
    await world.tags.put("a/b", image);
    await world.tags.put("a/b", index, "1");
    for (const [target, { mediaType, digest, size }] of [
      ["1", index],
      [image.digest, image],
    ] as const) {
      const response = await fetch(`${world.url}/v2/a/b/manifests/${target}`);
      const bytes = Buffer.from(await response.arrayBuffer());
      expect([digestOf(bytes), bytes.length, response.headers.get("content-type")]).toEqual([
        digest,
        size,
        mediaType,
      ]);
    }
  });

  test.for([
    ["GET", "/v2/a/manifests/none", 404, "MANIFEST_UNKNOWN"],
    ["GET", "/v2/a/blobs/sha256:zz", 400, "DIGEST_INVALID"],
    ["GET", `/v2/a/blobs/${EMPTY_DESCRIPTOR.digest}`, 404, "BLOB_UNKNOWN"],
    ["GET", "/v2/A/manifests/1", 404, "NAME_INVALID"],
    ["GET", "/v2/a/../../etc/passwd", 404, "NAME_INVALID"],
    ["GET", "/v2/%2e%2e/manifests/%00", 404, "NAME_INVALID"],
    ["GET", "/v2/%zz/manifests/1", 400, "NAME_INVALID"],
    ["GET", "/v2/none/tags/list", 404, "NAME_UNKNOWN"],
    ["GET", "/v2/a/tags/other", 404, "NAME_INVALID"],
    ["GET", "/v2/a/referrers/1", 400, "DIGEST_INVALID"],
    ["GET", `/v2/${"a".repeat(256)}/manifests/1`, 404, "NAME_INVALID"],
    ["PUT", "/v2/a/manifests/1", 405, "UNSUPPORTED"],
    ["POST", "/v2/a/blobs/uploads/", 405, "UNSUPPORTED"],
    ["DELETE", "/v2/a/manifests/1", 405, "UNSUPPORTED"],
  ] as const)(
    "%s %s is %i %s, the server being read-only",
    async ([method, path, status, code]) => {
      await using world = await serve();
      const response = await fetch(`${world.url}${path}`, { method });
      expect([response.status, await response.json()]).toMatchObject([
        status,
        { errors: [{ code }] },
      ]);
    },
  );

  test("a manifest of what was never pushed is refused", async () => {
    await using world = await serve({ readOnly: false });
    const image = await putImage(createMemoryContentStore(), { layers: [] });
    const body = JSON.stringify({
      schemaVersion: 2,
      config: { ...image, mediaType: MEDIA_TYPE.imageConfig },
      layers: [],
    });
    const response = await fetch(`${world.url}/v2/a/manifests/1`, { method: "PUT", body });
    expect([response.status, await response.json()]).toMatchObject([
      404,
      { errors: [{ code: "MANIFEST_BLOB_UNKNOWN" }] },
    ]);
  });
});

test("tags come in pages, each naming the next", async () => {
  await using world = await serve();
  const image = await putImage(world.content, { layers: [] });
  for (const tag of ["c", "a", "b"]) await world.tags.put("r", image, tag);
  const first = await fetch(`${world.url}/v2/r/tags/list?n=2`);
  expect(await first.json()).toEqual({ name: "r", tags: ["a", "b"] });
  expect(first.headers.get("link")).toBe('</v2/r/tags/list?n=2&last=b>; rel="next"');
  const second = await fetch(`${world.url}/v2/r/tags/list?n=2&last=b`);
  expect([await second.json(), second.headers.get("link")]).toEqual([
    { name: "r", tags: ["c"] },
    null,
  ]);
});

test("the catalogue names every repository with a manifest, in pages", async () => {
  await using world = await serve({ readOnly: false });
  const image = await putImage(world.content, { layers: [] });
  for (const name of ["c/d", "a", "b", "gone"]) await world.tags.put(name, image, "1");
  await fetch(`${world.url}/v2/gone/manifests/${image.digest}`, { method: "DELETE" });
  const first = await fetch(`${world.url}/v2/_catalog?n=2`);
  expect(await first.json()).toEqual({ repositories: ["a", "b"] });
  expect(first.headers.get("link")).toBe('</v2/_catalog?n=2&last=b>; rel="next"');
  const second = await fetch(`${world.url}/v2/_catalog?n=2&last=b`);
  expect([await second.json(), second.headers.get("link")]).toEqual([
    { repositories: ["c/d"] },
    null,
  ]);
  const odd = await fetch(`${world.url}/v2/_catalog?n=x`);
  const written = await fetch(`${world.url}/v2/_catalog`, { method: "POST" });
  expect([odd.status, written.status]).toEqual([400, 404]);
});

test("whoever does not know the password is told to say it, and nothing else", async () => {
  await using world = await serve({ auth: { username: "user", password: "secret" } });
  const stranger = await fetch(`${world.url}/v2/`);
  expect([stranger.status, stranger.headers.get("www-authenticate")]).toEqual([
    401,
    'Basic realm="stowage", charset="UTF-8"',
  ]);
  expect(await stranger.text()).not.toContain("secret");
  const statusOf = async (scheme: string, user: string) => {
    const authorization = `${scheme} ${Buffer.from(user).toString("base64")}`;
    return (await fetch(`${world.url}/v2/`, { headers: { authorization } })).status;
  };
  expect([
    await statusOf("Basic", "user:secret"),
    await statusOf("basic", "user:secret"),
    await statusOf("Bearer", "user:secret"),
    await statusOf("Basic", "user:secret2"),
    await statusOf("Basic", "user:"),
  ]).toEqual([200, 200, 401, 401, 401]);
});

describe("listen", () => {
  test("names the port that is taken", async () => {
    await using world = await serve();
    await using second = createRegistryServer({ content: world.content });
    await expect(second.listen({ port: world.port })).rejects.toMatchObject({
      code: "ERR_SERVER_ADDRESS_IN_USE",
      hint: expect.stringContaining("another port"),
    });
  });

  test("refuses an address of another host", async () => {
    await using server = createRegistryServer({ content: createMemoryContentStore() });
    await expect(server.listen({ host: "192.0.2.1" })).rejects.toMatchObject({
      code: "ERR_SERVER_LISTEN_FAILED",
      hint: expect.stringContaining("this machine"),
    });
  });

  test("disposal ends connections that have not said anything", async () => {
    const world = await serve();
    const socket = connect(world.port, "127.0.0.1").resume();
    await once(socket, "connect");
    const closed = once(socket, "close");
    await world[Symbol.asyncDispose]();
    await closed;
  });

  test("disposal of what has never listened, or was disposed of, does nothing", async () => {
    const server = createRegistryServer({ content: createMemoryContentStore() });
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  test("disposal ends connections that are idle", async () => {
    const world = await serve();
    await fetch(`${world.url}/v2/`);
    await world[Symbol.asyncDispose]();
    await using free = createServer().listen(world.port, "127.0.0.1");
    await new Promise((resolve) => free.once("listening", resolve));
  });
});

test("a path that no URL has is malformed", async () => {
  await using world = await serve();
  const socket = connect(world.port, "127.0.0.1");
  socket.end("GET // HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  const text = Buffer.concat(await Array.fromAsync<Buffer>(socket)).toString();
  expect(text).toContain("HTTP/1.1 400 ");
  expect(text).toContain("NAME_INVALID");
});

test("a manifest whose bytes were taken out of the content store is unknown", async () => {
  await using world = await serve();
  const image = await putImage(world.content, { layers: [] });
  await world.tags.put("a", image, "1");
  await world.content.remove(image.digest);
  for (const method of ["GET", "HEAD"]) {
    expect((await fetch(`${world.url}/v2/a/manifests/1`, { method })).status).toBe(404);
  }
});

test.runIf(hasPeer("skopeo")).for(["oci", "docker"] as const)(
  "skopeo (if installed) copies an index of %s words with all its images, and nothing becomes another",
  async (mediaTypes) => {
    await using from = await serve();
    await using to = await serve({ readOnly: false });
    const images = ["amd64", "arm64"].map((architecture) =>
      buildImage({
        layers: [{ entries: [{ name: architecture, content: "of its own" }] }],
        platform: { os: "linux", architecture },
        mediaTypes,
      }),
    );
    const index = buildIndex(images, mediaTypes);
    for (const image of [...images, index]) {
      await from.tags.put("all", await putImage(from.content, image));
    }
    await from.tags.put("all", index.descriptor, "1");
    const how = ["--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    const names = [`docker://${from.host}/all:1`, `docker://${to.host}/pushed:1`];
    await run("skopeo", ["copy", ...how, "--all", "--preserve-digests", ...names]);
    const { digest, mediaType } = index.descriptor;
    expect(await to.tags.resolve("pushed", "1")).toMatchObject({ digest, mediaType });
    const held = await Array.fromAsync(to.content.walk());
    expect(new Set(held.map((info) => info.digest))).toEqual(new Set(index.blobs.keys()));
  },
);

test.runIf(hasPeer("skopeo") && hasPeer("docker-registry"))(
  "skopeo (if installed, with docker-registry) copies to it and from it, the digest staying",
  async () => {
    await using world = await serve({ readOnly: false });
    await using registry = await startDockerRegistry();
    await using folder = await tempDir();
    const image = await putImage(world.content, {
      layers: [{ entries: [{ name: "a", content: "b" }] }],
    });
    await world.tags.put("from", image, "1");
    const copy = (...words: string[]) =>
      run("skopeo", [
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        ...words,
      ]);
    await copy(`docker://${world.host}/from:1`, `docker://${registry.host}/there:1`);
    await copy(`docker://${registry.host}/there:1`, `docker://${world.host}/back:1`);
    await copy(`docker://${world.host}/back:1`, `oci:${folder.path}:1`);
    expect(await world.tags.resolve("back", "1")).toMatchObject({ digest: image.digest });
  },
);
