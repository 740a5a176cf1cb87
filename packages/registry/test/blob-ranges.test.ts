import { createHash } from "node:crypto";

import { type ContentOrigin, type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { type BlobRange, createRegistryClient, type OpenRangeOptions } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { blobScript, tagOf } from "./support/blob-script.ts";
import { type ScriptedServer, serve } from "./support/scripted-server.ts";

const BLOB = createHash("shake256", { outputLength: 3_000_000 }).update("a blob").digest();
const RANGE = { offset: 500_000, end: 2_000_000 };
const PART = BLOB.subarray(RANGE.offset, RANGE.end);

describe("a range of a blob", () => {
  test("is asked for as such, and told with where it comes from", async () => {
    await using server = await serve(blobScript(BLOB, { etag: tagOf(BLOB) }));
    const origins: ContentOrigin[] = [];
    const bytes = await read([server], { onOrigin: (origin) => void origins.push(origin) });
    expect(bytes.equals(PART)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual(["bytes=500000-1999999"]);
    const url = `${server.origin}/v2/team/app/blobs/${digestOf(BLOB)}`;
    expect(origins).toEqual([{ url, validator: tagOf(BLOB) }]);
  });

  test("goes on where a connection broke", async () => {
    await using server = await serve(blobScript(BLOB, { cutAfter: 800_000 }));
    expect((await read([server])).equals(PART)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([
      "bytes=500000-1999999",
      "bytes=1300000-1999999",
    ]);
  });

  test("goes on at the next place where one does not", async () => {
    await using mirror = await serve((request, response, self) =>
      self.requests.length === 1
        ? blobScript(BLOB, { cutAfter: 800_000 })(request, response, self)
        : response.writeHead(404).end(),
    );
    await using server = await serve(blobScript(BLOB));
    expect((await read([mirror, server])).equals(PART)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual(["bytes=1300000-1999999"]);
  });

  test("is given up where nothing more comes", async () => {
    await using server = await serve((request, response, self) =>
      blobScript(BLOB, { cutAfter: self.requests.length === 1 ? 800_000 : 0 })(
        request,
        response,
        self,
      ),
    );
    await expect(read([server])).rejects.toMatchObject({ kind: "RegistryUnavailable" });
    expect(server.requests.length).toBeLessThanOrEqual(5);
  });

  test("H27 is an error where whole blobs only are delivered, of which the rest is not read", async () => {
    await using server = await serve(
      blobScript(BLOB, { ignoreRange: true, bytesPerSecond: 100_000 }),
    );
    await expect(read([server])).rejects.toMatchObject({ code: "ERR_REGISTRY_UNSUPPORTED" });
  });

  test("is an error where it is another, or is shorter", async () => {
    await using other = await serve((_, response) =>
      response.writeHead(206, { "content-range": `bytes 0-9/${BLOB.length}` }).end("0123456789"),
    );
    await expect(read([other])).rejects.toMatchObject({ code: "ERR_REGISTRY_PROTOCOL" });
    const range = `bytes 500000-1999999/${BLOB.length}`;
    await using short = await serve((_, response) =>
      response.writeHead(206, { "content-range": range }).end("0123456789"),
    );
    await expect(read([short])).rejects.toMatchObject({ code: "ERR_CONTENT_SIZE_MISMATCH" });
  });

  test.each([
    [-1, 5],
    [5, 4],
    [5, 5],
    [5, 5.5],
    [0, BLOB.length + 1],
    [0.5, 5],
  ])("is asked of nobody where there is none: %s to %s", async (offset, end) => {
    await using server = await serve(blobScript(BLOB));
    const reading = read([server], {}, [{ offset, end }]);
    await expect(reading).rejects.toMatchObject({ code: "ERR_CONTENT_SIZE_MISMATCH" });
    expect(server.requests).toEqual([]);
  });

  test("ends with its signal", async () => {
    await using server = await serve(blobScript(BLOB, { bytesPerSecond: 100_000 }));
    const stop = new AbortController();
    const onOrigin = (): void => stop.abort("stopped");
    await expect(read([server], { signal: stop.signal, onOrigin })).rejects.toBe("stopped");
  });
});

/** Reads from the last, of which the others are mirrors. */
async function read(
  places: readonly ScriptedServer[],
  options: OpenRangeOptions = {},
  ranges: readonly BlobRange[] = [RANGE],
): Promise<Buffer> {
  const mirrors = places.slice(0, -1);
  await using client = createRegistryClient({
    plainHttp: true,
    retryDelay: 1,
    mirrors: () => mirrors.map(({ host }) => ({ repository: parseRepository(`${host}/team/app`) })),
  });
  const repository = client.repository(parseRepository(`${places.at(-1)?.host}/team/app`));
  const { length: size } = BLOB;
  const blob: Descriptor = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(BLOB), size };
  return Buffer.concat(await Array.fromAsync(repository.openRanges(blob, ranges, options)));
}
