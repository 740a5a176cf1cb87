import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";

import { createMemoryContentStore, digestOf, EMPTY_DESCRIPTOR, MEDIA_TYPE } from "@stowage/content";
import { buildImage, type BuiltImage, putBlob } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

const HELLO = Buffer.from("hello, registry");

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

  test("are mounted from what is here, and begun where it is not", async () => {
    await using world = await serve({ readOnly: false });
    const { digest } = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const mount = async (wanted: string) => {
      const url = `${world.url}/v2/b/blobs/uploads/?mount=${wanted}&from=a`;
      const { status, headers } = await fetch(url, { method: "POST" });
      return [status, headers.get("location")];
    };
    expect(await mount(digest)).toEqual([201, `/v2/b/blobs/${digest}`]);
    expect(await mount(EMPTY_DESCRIPTOR.digest)).toEqual([
      202,
      expect.stringMatching(/^\/v2\/b\/blobs\/uploads\/./),
    ]);
  });

  test("that are given up are unknown, as are those of another repository", async () => {
    await using world = await serve({ readOnly: false });
    const place = await start(world.url);
    const other = place.replace("/v2/a/", "/v2/b/");
    const statusOf = async (url: string, method: string) => (await fetch(url, { method })).status;
    expect([
      await statusOf(other, "GET"),
      await statusOf(place, "GET"),
      await statusOf(place, "DELETE"),
      await statusOf(place, "GET"),
    ]).toEqual([404, 204, 204, 404]);
  });

  test("that were left alone make room for new ones", async () => {
    await using world = await serve({ readOnly: false });
    const first = await start(world.url);
    const second = await start(world.url);
    // What was begun with a digest and failed leaves nothing behind.
    for (let times = 0; times < 10; times += 1) {
      await fetch(`${world.url}/v2/a/blobs/uploads/?digest=none`, { method: "POST", body: HELLO });
    }
    for (let begun = 2; begun < 1000; begun += 1) await start(world.url);
    expect((await fetch(first)).status).toBe(204);
    await start(world.url);
    expect([(await fetch(first)).status, (await fetch(second)).status]).toEqual([204, 404]);
  });

  test("take from one request at a time", async () => {
    await using world = await serve({ readOnly: false });
    const place = await start(world.url);
    const socket = connect(world.port, "127.0.0.1");
    const { pathname } = new URL(place);
    socket.write(`PATCH ${pathname} HTTP/1.1\r\nhost: x\r\ncontent-length: 15\r\n\r\nhello`);
    await expect.poll(async () => (await fetch(place)).headers.get("range")).toBe("0-4");
    const other = await fetch(place, { method: "PATCH", body: HELLO });
    expect([other.status, await other.json()]).toMatchObject([
      409,
      { errors: [{ code: "BLOB_UPLOAD_INVALID" }] },
    ]);
    socket.destroy();
  });
});

describe("a manifest that is put", () => {
  test("is refused over 4 MiB, and taken at it", async () => {
    await using world = await serve({ readOnly: false });
    await putBlob(world.content, EMPTY_DESCRIPTOR.mediaType, Buffer.from("{}"));
    const put = async (bytes: number) => {
      const text = (note: string) =>
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MEDIA_TYPE.imageManifest,
          config: EMPTY_DESCRIPTOR,
          layers: [],
          annotations: { note },
        });
      const body = text("n".repeat(bytes - text("").length));
      return (await fetch(`${world.url}/v2/a/manifests/1`, { method: "PUT", body })).status;
    };
    const limit = 4 * 1024 * 1024;
    expect([await put(limit + 1), await put(limit)]).toEqual([413, 201]);
  });

  test.for([
    ["that is another than its digest", `sha256:${"0".repeat(64)}`, undefined, "DIGEST_INVALID"],
    ["under what is no tag", ".1", undefined, "MANIFEST_INVALID"],
    ["as what it is not", "1", MEDIA_TYPE.imageIndex, "MANIFEST_INVALID"],
  ] as const)("%s is refused", async ([, target, type = MEDIA_TYPE.imageManifest, code]) => {
    await using world = await serve({ readOnly: false });
    const { manifest } = buildImage({ layers: [] });
    const response = await fetch(`${world.url}/v2/a/manifests/${target}`, {
      method: "PUT",
      body: Buffer.from(manifest),
      headers: { "content-type": type },
    });
    expect([response.status, await response.json()]).toMatchObject([400, { errors: [{ code }] }]);
  });
});

test("many clients push and pull at once, and each gets what it is for", async () => {
  await using world = await serve({ readOnly: false });
  const shared = { entries: [{ name: "shared", content: "the same for all" }] };
  const images = Array.from({ length: 24 }, (_, at) =>
    buildImage({ layers: [shared, { entries: [{ name: "own", content: `of ${at}` }] }] }),
  );
  await Promise.all(
    images.map(async (image, at) => {
      await push(`${world.url}/v2/r`, image, `t${at}`);
      const response = await fetch(`${world.url}/v2/r/manifests/t${at}`);
      expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(image.descriptor.digest);
    }),
  );
  const held = await Array.fromAsync(world.content.walk());
  const wanted = new Set(images.flatMap(({ blobs }) => [...blobs.keys()]));
  expect(new Set(held.map(({ digest }) => digest))).toEqual(wanted);
});

test("disposal waits for what was being kept, so that the content may be closed after it", async () => {
  const content = createMemoryContentStore();
  const [entered, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isDone = false;
  const world = await serve({
    readOnly: false,
    content: {
      ...content,
      async write(...words) {
        entered.resolve();
        await release.promise;
        await content.write(...words).finally(() => (isDone = true));
      },
    },
  });
  const url = `${world.url}/v2/a/blobs/uploads/?digest=${digestOf(HELLO)}`;
  const pushed = fetch(url, { method: "POST", body: HELLO }).catch(() => "cut");
  await entered.promise;
  const disposed = world[Symbol.asyncDispose]();
  expect(await pushed).toBe("cut");
  const waiting = setTimeout(200, "waiting");
  expect(await Promise.race([disposed, waiting])).toBe("waiting");
  release.resolve();
  await disposed;
  expect(isDone).toBe(true);
});

async function start(url: string): Promise<string> {
  const response = await fetch(`${url}/v2/a/blobs/uploads/`, { method: "POST" });
  return `${url}${response.headers.get("location")}`;
}

async function push(repository: string, image: BuiltImage, tag: string): Promise<void> {
  for (const [digest, { bytes }] of image.blobs) {
    if (digest === image.descriptor.digest) continue;
    const url = `${repository}/blobs/uploads/?digest=${digest}`;
    const { status } = await fetch(url, { method: "POST", body: Buffer.from(bytes) });
    expect(status).toBe(201);
  }
  const { status } = await fetch(`${repository}/manifests/${tag}`, {
    method: "PUT",
    body: Buffer.from(image.manifest),
    headers: { "content-type": image.descriptor.mediaType },
  });
  expect(status).toBe(201);
}
