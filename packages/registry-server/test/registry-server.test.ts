import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { connect } from "node:net";
import { promisify } from "node:util";

import {
  createMemoryContentStore,
  type Descriptor,
  digestOf,
  EMPTY_DESCRIPTOR,
  MEDIA_TYPE,
} from "@stowage/content";
import {
  createMemoryTagStore,
  createRegistryServer,
  type RegistryServerOptions,
} from "@stowage/registry-server";
import {
  hasPeer,
  putBlob,
  putImage,
  putIndex,
  startDockerRegistry,
  tempDir,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const HELLO = Buffer.from("hello, registry");

describe("blobs", () => {
  test.for([
    ["bytes=0-4", 206, "hello", "bytes 0-4/15"],
    ["bytes=7-", 206, "registry", "bytes 7-14/15"],
    ["bytes=-8", 206, "registry", "bytes 7-14/15"],
    ["bytes=7-999", 206, "registry", "bytes 7-14/15"],
    ["bytes=0-1,3-4", 200, "hello, registry", null],
    ["lines=1-2", 200, "hello, registry", null],
  ] as const)("are served by %s with %i", async ([range, status, text, contentRange]) => {
    await using world = await serve();
    const { digest } = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const response = await fetch(`${world.url}/v2/a/blobs/${digest}`, { headers: { range } });
    expect([response.status, await response.text(), response.headers.get("content-range")]).toEqual(
      [status, text, contentRange],
    );
    expect(response.headers.get("docker-content-digest")).toBe(digest);
  });

  test("a range behind the end is 416 with the size", async () => {
    await using world = await serve();
    const { digest } = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const response = await fetch(`${world.url}/v2/a/blobs/${digest}`, {
      headers: { range: "bytes=15-" },
    });
    expect([response.status, response.headers.get("content-range")]).toEqual([416, "bytes */15"]);
  });

  test("an empty blob has a length of 0, and HEAD no body", async () => {
    await using world = await serve();
    const empty = await putBlob(world.content, MEDIA_TYPE.layerTar, new Uint8Array());
    const hello = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    expect(
      (await fetch(`${world.url}/v2/a/blobs/${empty.digest}`)).headers.get("content-length"),
    ).toBe("0");
    const head = await fetch(`${world.url}/v2/a/blobs/${hello.digest}`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
      200,
      "15",
      "",
    ]);
  });
});

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

test("referrers are found by subject and artifact type", async () => {
  await using world = await serve();
  const subject = await putImage(world.content, { layers: [] });
  const referrers = await Promise.all(
    ["sbom", "signature"].map((kind) => putReferrer(world.content, subject, `application/${kind}`)),
  );
  for (const referrer of referrers) await world.tags.put("r", referrer);
  const all = await fetch(`${world.url}/v2/r/referrers/${subject.digest}`);
  expect(await all.json()).toMatchObject({
    manifests: referrers.map(({ digest }) => ({ digest })),
  });
  const some = await fetch(
    `${world.url}/v2/r/referrers/${subject.digest}?artifactType=application/sbom`,
  );
  expect(some.headers.get("oci-filters-applied")).toBe("artifactType");
  expect(await some.json()).toMatchObject({
    manifests: [{ digest: referrers[0]?.digest, artifactType: "application/sbom" }],
  });
});

describe("uploads", () => {
  test("take a blob in chunks, and tell where they are", async () => {
    await using world = await serve({ readOnly: false });
    const start = await fetch(`${world.url}/v2/a/blobs/uploads/`, { method: "POST" });
    const place = `${world.url}${start.headers.get("location")}`;
    const first = await fetch(place, {
      method: "PATCH",
      body: HELLO.subarray(0, 5),
      headers: { "content-range": "0-4" },
    });
    expect([first.status, first.headers.get("range")]).toEqual([202, "0-4"]);
    const wrong = await fetch(place, {
      method: "PATCH",
      body: HELLO.subarray(5),
      headers: { "content-range": "9-18" },
    });
    expect([wrong.status, wrong.headers.get("range")]).toEqual([416, "0-4"]);
    const end = await fetch(`${place}?digest=${digestOf(HELLO)}`, {
      method: "PUT",
      body: HELLO.subarray(5),
    });
    expect([end.status, await world.content.stat(digestOf(HELLO))]).toEqual([
      201,
      { digest: digestOf(HELLO), size: 15 },
    ]);
  });

  test("keep nothing of bytes that are not what they are called", async () => {
    await using world = await serve({ readOnly: false });
    const response = await fetch(
      `${world.url}/v2/a/blobs/uploads/?digest=${digestOf(Buffer.from("other"))}`,
      { method: "POST", body: HELLO },
    );
    expect([response.status, await Array.fromAsync(world.content.walk())]).toEqual([400, []]);
  });

  test("a client that goes away in the middle can go on", async () => {
    await using world = await serve({ readOnly: false });
    const start = await fetch(`${world.url}/v2/a/blobs/uploads/`, { method: "POST" });
    const location = start.headers.get("location") ?? "";
    const socket = connect(world.port, "127.0.0.1");
    socket.write(`PATCH ${location} HTTP/1.1\r\nhost: x\r\ncontent-length: 15\r\n\r\nhello`);
    await expect
      .poll(async () => (await fetch(`${world.url}${location}`)).headers.get("range"))
      .toBe("0-4");
    socket.destroy();
    const finish = () =>
      fetch(`${world.url}${location}?digest=${digestOf(HELLO)}`, {
        method: "PUT",
        body: HELLO.subarray(5),
      });
    await expect.poll(async () => (await finish()).status).toBe(201);
  });
});

test("whoever does not know the password is told to say it, and nothing else", async () => {
  await using world = await serve({ auth: { username: "user", password: "secret" } });
  const stranger = await fetch(`${world.url}/v2/`);
  expect([stranger.status, stranger.headers.get("www-authenticate")]).toEqual([
    401,
    'Basic realm="stowage", charset="UTF-8"',
  ]);
  expect(await stranger.text()).not.toContain("secret");
  const authorization = `Basic ${Buffer.from("user:secret").toString("base64")}`;
  expect((await fetch(`${world.url}/v2/`, { headers: { authorization } })).status).toBe(200);
});

describe("listen", () => {
  test("names the port that is taken", async () => {
    await using world = await serve();
    await using second = createRegistryServer({ content: world.content });
    await expect(second.listen({ port: world.port })).rejects.toMatchObject({
      code: "ERR_SERVER_ADDRESS_IN_USE",
    });
  });

  test("refuses an address of another host", async () => {
    await using server = createRegistryServer({ content: createMemoryContentStore() });
    await expect(server.listen({ host: "192.0.2.1" })).rejects.toMatchObject({
      code: "ERR_SERVER_LISTEN_FAILED",
    });
  });

  test("disposal ends connections that are idle", async () => {
    const world = await serve();
    await fetch(`${world.url}/v2/`);
    await world[Symbol.asyncDispose]();
    await using free = createServer().listen(world.port, "127.0.0.1");
    await new Promise((resolve) => free.once("listening", resolve));
  });
});

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

async function serve(options: Partial<RegistryServerOptions> = {}) {
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  const server = createRegistryServer({ content, tags, ...options });
  const listening = await server.listen();
  return {
    content,
    tags,
    ...listening,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function putReferrer(
  content: Parameters<typeof putBlob>[0],
  subject: Descriptor,
  artifactType: string,
): Promise<Descriptor> {
  const { mediaType, digest, size } = subject;
  await putBlob(content, MEDIA_TYPE.empty, Buffer.from("{}"));
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType,
    config: EMPTY_DESCRIPTOR,
    layers: [],
    subject: { mediaType, digest, size },
  };
  return putBlob(content, MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest)));
}
