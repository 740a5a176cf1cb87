import { createHash } from "node:crypto";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { type BlobRange, createRegistryClient, type RepositoryClient } from "@stowage/registry";
import { hasPeer, startCountingProxy, startDockerRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { blobScript } from "./support/blob-script.ts";
import { type Script, type ScriptedServer, serve } from "./support/scripted-server.ts";

const BLOB = createHash("shake256", { outputLength: 500_000 }).update("a blob").digest();
const RANGES: readonly BlobRange[] = [
  { offset: 0, end: 10 },
  { offset: 1000, end: 101_000 },
  { offset: 499_999, end: 500_000 },
];
const OTHERS = [{ offset: 7, end: 8 }, ...RANGES.slice(1)];
const BOUNDARY = "3d6b6a416f9b5";

describe("several ranges of a blob", () => {
  test("come in one answer, one behind the other", async () => {
    await using server = await serve(inParts(partsOf(RANGES)));
    expect((await read(server)).equals(bytesOf(RANGES))).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([
      "bytes=0-9,1000-100999,499999-499999",
    ]);
  });

  test("come however they are cut on their way", async () => {
    const whole = partsOf(RANGES);
    await using server = await serve((_, response) => {
      response.writeHead(206, { "content-type": `multipart/byteranges; boundary="${BOUNDARY}"` });
      const send = (at: number): unknown =>
        at >= whole.length
          ? response.end()
          : response.write(whole.subarray(at, at + 7), () => send(at + 7));
      const headEnd = whole.indexOf("\r\n\r\n") + 4;
      response.socket?.setNoDelay();
      response.write(whole.subarray(0, headEnd - 2), () => send(headEnd - 2));
    });
    expect((await read(server, RANGES)).equals(bytesOf(RANGES))).toBe(true);
  });

  test.each<[string, Buffer]>([
    ["are others", partsOf(OTHERS)],
    ["are in another order", partsOf(RANGES.toReversed())],
    ["are fewer", partsOf(RANGES.slice(0, 2))],
    ["are more", partsOf([...RANGES, { offset: 1, end: 2 }])],
    ["are of another whole", partsOf(RANGES, BLOB.length + 1)],
    ["are cut off", partsOf(RANGES).subarray(0, 5000)],
    ["are cut off in a head", partsOf(RANGES).subarray(0, 20)],
    ["have another boundary", partsOf(RANGES, BLOB.length, "other")],
    ["have no end", partsOf(RANGES).subarray(0, -BOUNDARY.length - 6)],
    ["have heads without end", Buffer.alloc(10_000, "a")],
    ["have something behind them", Buffer.concat([partsOf(RANGES), Buffer.alloc(5000)])],
    ["are nothing", Buffer.alloc(0)],
    [
      "say twice what they are",
      altered("Content-Type: ", "content-range: bytes 0-9/500000\r\nX: "),
    ],
    ["have another boundary between", altered(`\r\n--${BOUNDARY}`, "\r\n--other")],
  ])("are an error where they %s", async (_, body) => {
    await using server = await serve(inParts(body));
    await expect(read(server)).rejects.toMatchObject({ code: "ERR_REGISTRY_PROTOCOL" });
  });

  test.each<[string, Script]>([
    ["the whole comes", blobScript(BLOB)],
    ["the first comes", (_, response) => single(response, 0, 10)],
    ["parts come without a boundary", inParts(partsOf(RANGES), "multipart/byteranges")],
    ["parts come of another kind", inParts(partsOf(RANGES), "multipart/mixed; boundary=x")],
  ])("are not supported where %s", async (_, script) => {
    await using server = await serve(script);
    await expect(read(server)).rejects.toMatchObject({ code: "ERR_REGISTRY_UNSUPPORTED" });
  });

  test.runIf(hasPeer("docker-registry"))(
    "come from docker-registry, 200 at once and with little beside them, if installed",
    async () => {
      await using registry = await startDockerRegistry();
      await using proxy = await startCountingProxy({ target: registry.host });
      await using opened = open(proxy.host);
      const { repository, blob } = opened;
      await repository.pushBlob(blob, {
        async *openContent() {
          yield BLOB;
        },
      });
      const many = Array.from({ length: 450 }, (_, at) => ({
        offset: at * 1000,
        end: at * 1000 + 200,
      }));
      const before = proxy.bytes;
      const bytes = Buffer.concat(await Array.fromAsync(repository.openRanges(blob, many)));
      expect(bytes.equals(bytesOf(many))).toBe(true);
      expect(proxy.bytes - before).toBeLessThan(450 * (200 + 250));
    },
  );
});

/** An answer in parts, as Go's and nginx's are. */
function partsOf(ranges: readonly BlobRange[], size = BLOB.length, boundary = BOUNDARY): Buffer {
  const parts = ranges.flatMap(({ offset, end }, at) => [
    Buffer.from(
      `${at === 0 ? "" : "\r\n"}--${boundary}\r\nContent-Range: bytes ${offset}-${end - 1}/${size}\r\nContent-Type: application/octet-stream\r\n\r\n`,
    ),
    BLOB.subarray(offset, end),
  ]);
  return Buffer.concat([...parts, Buffer.from(`\r\n--${boundary}--\r\n`)]);
}

/** With something else at one place. */
function altered(find: string, put: string): Buffer {
  const whole = partsOf(RANGES);
  const at = whole.indexOf(find);
  return Buffer.concat([whole.subarray(0, at), Buffer.from(put), whole.subarray(at + find.length)]);
}

function bytesOf(ranges: readonly BlobRange[]): Buffer {
  return Buffer.concat(ranges.map(({ offset, end }) => BLOB.subarray(offset, end)));
}

function inParts(body: Buffer, type = `multipart/byteranges; boundary=${BOUNDARY}`): Script {
  return (_, response) => response.writeHead(206, { "content-type": type }).end(body);
}

function single(response: Parameters<Script>[1], first: number, end: number): void {
  const range = `bytes ${first}-${end - 1}/${BLOB.length}`;
  response.writeHead(206, { "content-range": range }).end(BLOB.subarray(first, end));
}

interface Opened extends AsyncDisposable {
  readonly repository: RepositoryClient;
  readonly blob: Descriptor;
}

function open(host: string): Opened {
  const client = createRegistryClient({ plainHttp: true, retryDelay: 1 });
  return {
    repository: client.repository(parseRepository(`${host}/team/app`)),
    blob: { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(BLOB), size: BLOB.length },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

async function read({ host }: ScriptedServer, ranges = RANGES): Promise<Buffer> {
  await using opened = open(host);
  return Buffer.concat(await Array.fromAsync(opened.repository.openRanges(opened.blob, ranges)));
}
