import { once } from "node:events";
import { connect } from "node:net";

import { createMemoryContentStore, type Digest, MEDIA_TYPE } from "@stowage/content";
import { buildImage, putBlob, putImage } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

const HELLO = Buffer.from("hello, registry");

describe("blobs", () => {
  test.for([
    ["bytes=0-4", 206, "hello", "bytes 0-4/15"],
    ["bytes=7-", 206, "registry", "bytes 7-14/15"],
    ["bytes=-8", 206, "registry", "bytes 7-14/15"],
    ["bytes=7-999", 206, "registry", "bytes 7-14/15"],
    ["bytes=0-1,3-4", 200, "hello, registry", null],
    ["bytes=4-0", 200, "hello, registry", null],
    ["BYTES=0-4", 206, "hello", "bytes 0-4/15"],
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

  test("a range ends on the wire where it was said to end", async () => {
    await using world = await serve();
    const { digest } = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const socket = connect(world.port, "127.0.0.1");
    const headers = "host: x\r\nrange: bytes=0-4\r\nconnection: close";
    socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\n${headers}\r\n\r\n`);
    const answer = Buffer.concat(await Array.fromAsync<Buffer>(socket)).toString();
    expect(answer.split("\r\n\r\n")[1]).toBe("hello");
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

  test("a range of what the client holds a part of is not given of something else", async () => {
    await using world = await serve();
    const { digest } = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const statusIf = async (held: string) => {
      const headers = { range: "bytes=5-", "if-range": `"${held}"` };
      return (await fetch(`${world.url}/v2/a/blobs/${digest}`, { headers })).status;
    };
    expect([await statusIf(digest), await statusIf("sha256:other")]).toEqual([206, 200]);
  });

  test("HEAD tells of the whole, whatever range it names", async () => {
    await using world = await serve();
    const { digest } = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const headers = { range: "bytes=0-4" };
    const head = await fetch(`${world.url}/v2/a/blobs/${digest}`, { method: "HEAD", headers });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, "15"]);
  });

  test("who has the bytes is told that they are unchanged", async () => {
    await using world = await serve();
    const image = buildImage({ layers: [] });
    await world.tags.put("a", await putImage(world.content, image), "1");
    const blob = await putBlob(world.content, MEDIA_TYPE.layerTar, HELLO);
    const statusOf = async (path: string, digest: Digest) => {
      const headers = { "if-none-match": `"other", W/"${digest}"` };
      const response = await fetch(`${world.url}/v2/a/${path}`, { headers });
      return [response.status, await response.text()];
    };
    expect(await statusOf(`blobs/${blob.digest}`, blob.digest)).toEqual([304, ""]);
    expect(await statusOf("manifests/1", image.descriptor.digest)).toEqual([304, ""]);
    expect(await statusOf(`blobs/${blob.digest}`, image.descriptor.digest)).toEqual([
      200,
      HELLO.toString(),
    ]);
  });

  test("a client that goes away ends the reading", async () => {
    const held = createMemoryContentStore();
    const closed = Promise.withResolvers<void>();
    await using world = await serve({
      content: {
        ...held,
        async *openContent() {
          try {
            for (;;) yield new Uint8Array(65_536);
          } finally {
            closed.resolve();
          }
        },
        stat: async (digest) => ({ digest, size: 1e12 }),
      },
    });
    const { digest } = buildImage({ layers: [] }).descriptor;
    const socket = connect(world.port, "127.0.0.1");
    socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await once(socket, "data");
    socket.destroy();
    await closed.promise;
  });

  // Less than an idle connection is kept, which would end in the same way.
  const soon = { timeout: 3000 };
  test("bytes that end too early cut the answer, which never looks whole", soon, async () => {
    const held = createMemoryContentStore();
    const { digest } = await putBlob(held, MEDIA_TYPE.layerTar, HELLO);
    await using world = await serve({
      content: { ...held, stat: async () => ({ digest, size: HELLO.length + 1 }) },
    });
    const read = fetch(`${world.url}/v2/a/blobs/${digest}`).then((response) => response.text());
    await expect(read).rejects.toThrow(/terminated|fetch failed/);
  });
});
