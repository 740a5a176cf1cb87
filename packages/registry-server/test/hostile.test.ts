import { readdir, readlink } from "node:fs/promises";
import { request } from "node:http";

import { createMemoryContentStore, digestOf } from "@stowage/content";
import { RegistryServerError } from "@stowage/registry-server";
import { describe, expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

const KIB = Buffer.alloc(1024, "k");

describe("a client that sends too much", () => {
  test("is told before it sends, and its upload is gone", async () => {
    await using world = await serve({ readOnly: false, maxBlobBytes: 1000 });
    const place = await begin(world.url);
    const answer = await fetch(place, { method: "PATCH", body: KIB });
    expect([answer.status, await answer.json()]).toMatchObject([
      413,
      { errors: [{ code: "SIZE_INVALID" }] },
    ]);
    expect((await fetch(place)).status).toBe(404);
  });

  test("without saying how much is cut off at the limit", async () => {
    await using world = await serve({ readOnly: false, maxBlobBytes: 1000 });
    const place = await begin(world.url);
    expect(await sendChunked(place, [KIB.subarray(0, 900), KIB.subarray(0, 900)])).toBe(413);
    expect(await uploadsOf(place)).toEqual([]);
  });

  test("in many uploads takes no more than all may have, and those left alone make room", async () => {
    await using world = await serve({ readOnly: false, maxUploadBytes: 2500 });
    const [first, second, third] = [
      await begin(world.url),
      await begin(world.url),
      await begin(world.url),
    ];
    const send = async (place: string, body = KIB): Promise<number> =>
      (await fetch(place, { method: "PATCH", body })).status;
    expect([await send(first), await send(second), await send(third)]).toEqual([202, 202, 202]);
    expect((await fetch(first)).status).toBe(404);
    expect(await send(third, Buffer.alloc(3000))).toBe(507);
  });
});

describe("an upload", () => {
  test("that is left alone is gone after its time", async () => {
    await using world = await serve({ readOnly: false, uploadTimeout: 50 });
    const place = await begin(world.url);
    await expect.poll(async () => uploadsOf(place)).toEqual([]);
    expect((await fetch(place)).status).toBe(404);
  });

  test("that trickles is cut off, and can be taken up again", async () => {
    await using world = await serve({ readOnly: false, stallTimeout: 100 });
    const place = await begin(world.url);
    await expect(trickle(place)).rejects.toMatchObject({ code: "ECONNRESET" });
    const { headers, status } = await fetch(place);
    expect([status, headers.get("range")]).toEqual([204, "0-4"]);
  });

  test("whose range is not as long as its body is refused, and stays as it was", async () => {
    await using world = await serve({ readOnly: false });
    const place = await begin(world.url);
    for (const range of ["0-99", "5-1028", "0-", "x"]) {
      const headers = { "content-range": range };
      const answer = await fetch(place, { method: "PATCH", body: KIB, headers });
      expect([range, answer.status]).toEqual([range, 416]);
    }
    const put = `${place}?digest=${digestOf(KIB)}`;
    expect((await fetch(put, { method: "PUT", body: KIB })).status).toBe(201);
  });
});

describe("what the content store says", () => {
  const cases: readonly (readonly [error: Error, status: number, told: string])[] = [
    [new RegistryServerError("ERR_SERVER_REFUSED", "not on Sundays"), 403, "not on Sundays"],
    [Object.assign(new Error("/secret/path"), { code: "ENOSPC" }), 507, "no space"],
    [new Error("/secret/path"), 500, "the registry failed"],
  ];
  test.each(cases)("is told as what it is: %s", async (error, status, told) => {
    const content = {
      ...createMemoryContentStore(),
      async write() {
        throw error;
      },
    };
    await using world = await serve({ readOnly: false, content });
    const place = await begin(world.url);
    const put = await fetch(`${place}?digest=${digestOf(KIB)}`, { method: "PUT", body: KIB });
    expect([put.status, await put.json()]).toMatchObject([status, { errors: [{ message: told }] }]);
    expect(await uploadsOf(place)).toEqual([]);
  });
});

test("what is refused unread leaves nothing open", async () => {
  const content = {
    ...createMemoryContentStore(),
    async write() {
      throw new RegistryServerError("ERR_SERVER_REFUSED", "not on Sundays");
    },
  };
  await using world = await serve({ readOnly: false, content });
  const place = await begin(world.url);
  expect(await uploadsOf(place)).toHaveLength(1);
  const answer = await fetch(`${place}?digest=${digestOf(KIB)}`, { method: "PUT", body: KIB });
  expect([answer.status, await uploadsOf(place)]).toEqual([403, []]);
});

async function begin(url: string): Promise<string> {
  const begun = await fetch(`${url}/v2/a/blobs/uploads/`, { method: "POST" });
  return new URL(begun.headers.get("location") ?? "", url).href;
}

/** The open files in which bytes of an upload lie; they have no names any more. */
async function uploadsOf(place: string): Promise<readonly string[]> {
  const id = place.split("/").at(-1) ?? "";
  const links = (await readdir("/proc/self/fd")).map((fd) =>
    readlink(`/proc/self/fd/${fd}`).catch(() => ""),
  );
  return (await Promise.all(links)).filter((path) => path.includes(`stowage-upload-${id}`));
}

function sendChunked(place: string, chunks: readonly Uint8Array[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const patch = request(place, { method: "PATCH" }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    patch.on("error", reject);
    for (const chunk of chunks) patch.write(chunk);
    patch.end();
  });
}

/** Sends five bytes of a thousand, and then nothing. */
function trickle(place: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { "content-length": "1000" };
    const patch = request(place, { method: "PATCH", headers }, () => resolve());
    patch.on("error", reject).write("hello");
  });
}
