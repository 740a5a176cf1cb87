import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createMemoryContentStore, digestOf } from "@stowage/content";
import { expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

const HELLO = Buffer.from("hello, registry");

test("an upload that is given up takes no more from who is still at it, and tells it so", async () => {
  await using world = await serve({ readOnly: false });
  const place = await begin(world.url);
  const socket = await sendSome(world.port, place, "PATCH");
  await expect.poll(async () => (await fetch(place)).headers.get("range")).toBe("0-4");
  expect((await fetch(place, { method: "DELETE" })).status).toBe(204);
  socket.write(HELLO.subarray(5));
  expect(await answerOf(socket)).toMatch(/^HTTP\/1.1 404 [^]*BLOB_UPLOAD_UNKNOWN/);
});

test("who is cut off while its blob is being kept asks for that again, and sends nothing twice", async () => {
  const memory = createMemoryContentStore();
  const entered = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  let writes = 0;
  const content: typeof memory = {
    ...memory,
    async write(descriptor, source, options) {
      writes += 1;
      if (writes > 1) return memory.write(descriptor, source, options);
      const { signal } = options ?? {};
      if (signal === undefined) throw new Error("there is no signal");
      const aborted = once(signal, "abort");
      entered.resolve();
      await aborted;
      left.resolve();
      throw signal.reason;
    },
  };
  await using world = await serve({ readOnly: false, content });
  const place = await begin(world.url);
  const put = `${place}?digest=${digestOf(HELLO)}`;
  const socket = await sendSome(world.port, put, "PUT");
  socket.write(HELLO.subarray(5));
  await entered.promise;
  socket.destroy();
  await left.promise;
  expect((await fetch(put, { method: "PUT" })).status).toBe(201);
  expect(await memory.stat(digestOf(HELLO))).toMatchObject({ size: HELLO.byteLength });
});

test("a temporary directory that was not there for a while is used again", async () => {
  await using world = await serve({ readOnly: false });
  const url = `${world.url}/v2/a/blobs/uploads/`;
  const before = process.env["TMPDIR"];
  const there = tmpdir();
  try {
    process.env["TMPDIR"] = join(there, "stowage-is-not-there");
    expect((await fetch(url, { method: "POST" })).status).toBe(500);
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
  expect((await fetch(url, { method: "POST" })).status).toBe(202);
});

async function begin(url: string): Promise<string> {
  const begun = await fetch(`${url}/v2/a/blobs/uploads/`, { method: "POST" });
  return new URL(begun.headers.get("location") ?? "", url).href;
}

/** Sends the first five bytes of {@link HELLO}, of which it says that all will come. */
async function sendSome(port: number, place: string, method: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  const { pathname, search } = new URL(place);
  socket.write(
    `${method} ${pathname}${search} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${HELLO.byteLength}\r\n\r\nhello`,
  );
  await once(socket, "connect");
  return socket;
}

async function answerOf(socket: Socket): Promise<string> {
  return Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString();
}
