import { randomBytes } from "node:crypto";

import {
  type ContentOrigin,
  type Descriptor,
  digestOf,
  MEDIA_TYPE,
  type OpenContentOptions,
  readContent,
} from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
  type RepositoryClient,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { blobScript, tagOf } from "./support/blob-script.ts";
import { type Script, type ScriptedServer, serve } from "./support/scripted-server.ts";

const BLOB = randomBytes(3_000_000);
const OTHER = randomBytes(BLOB.length);
const HALF = 1_500_000;
const ETAG = tagOf(BLOB);

describe("a blob that is resumed by another process", () => {
  test("R18 goes on at the version that the first bytes were of", async () => {
    await using server = await serve(blobScript(BLOB, { etag: ETAG }));
    const origins: ContentOrigin[] = [];
    const onOrigin = (origin: ContentOrigin): unknown => origins.push(origin);
    const { bytes } = await read([server], { onOrigin });
    expect(bytes.equals(BLOB)).toBe(true);
    const [origin] = origins;
    expect(origin).toEqual({
      url: `${server.origin}/v2/team/app/blobs/${digestOf(BLOB)}`,
      validator: ETAG,
    });
    const rest = await read([server], { offset: HALF, origin });
    expect(rest.bytes.equals(BLOB.subarray(HALF))).toBe(true);
    expect(server.requests.at(-1)?.headers).toMatchObject({
      range: `bytes=${HALF}-`,
      "if-range": ETAG,
    });
  });

  test("H27 gets the whole where the version changed, and its reader is told to begin anew", async () => {
    await using server = await serve(blobScript(BLOB, { etag: ETAG }));
    const url = `${server.origin}/v2/team/app/blobs/${digestOf(BLOB)}`;
    const origin = { url, validator: '"an earlier one"' };
    const { bytes, restarts, events } = await read([server], { offset: HALF, origin }, true);
    expect([bytes.equals(BLOB), restarts]).toEqual([true, [0]]);
    expect(events).toMatchObject([{ type: "restart", received: HALF }]);
    expect(server.requests).toHaveLength(1);
  });

  test("a validator of another place is not held against this one", async () => {
    await using server = await serve(blobScript(BLOB, { etag: ETAG }));
    const origin = { url: "https://elsewhere.example/v2/x/blobs/y", validator: '"theirs"' };
    const { bytes } = await read([server], { offset: HALF, origin });
    expect(bytes.equals(BLOB.subarray(HALF))).toBe(true);
    expect(server.requests[0]?.headers["if-range"]).toBeUndefined();
  });

  test.for([
    ["ignored", blobScript(BLOB, { ignoreRange: true }), 1],
    ["refused", rangesOr((_, response) => response.writeHead(416).end()), 2],
    ["answered with another", rangesOr((_, response) => wrongRange(response)), 2],
    ["answered in parts", rangesOr((_, response) => inParts(response)), 2],
  ] as const)("H27 a Range that is %s: begun anew, once", async ([, script, requests]) => {
    await using server = await serve(script);
    const { bytes, restarts } = await read([server], { offset: HALF }, true);
    expect([bytes.equals(BLOB), restarts]).toEqual([true, [0]]);
    expect(server.requests).toHaveLength(requests);
  });

  test("H29 a Range with other bytes is noticed, and begun anew once", async () => {
    await using server = await serve((request, response, self) => {
      const isResume = request.headers.range !== undefined;
      const script = isResume ? blobScript(OTHER) : blobScript(BLOB, cutFirst(self));
      script(request, response, self);
    });
    const { bytes, restarts } = await read([server], {}, true);
    expect([bytes.equals(BLOB), restarts]).toEqual([true, [HALF + HALF]]);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      expect.stringMatching(/^bytes=\d+-$/u),
      undefined,
    ]);
  });

  test("a server that neither ends nor goes on is given up", async () => {
    const script = blobScript(BLOB, { ignoreRange: true, cutAfter: HALF });
    await using server = await serve(script);
    const reading = read([server], {}, true);
    await expect(reading).rejects.toMatchObject({ kind: "RegistryUnavailable" });
    expect(server.requests.length).toBeLessThanOrEqual(4);
  });

  test("N16 asks the registry anew where a signed URL has expired", async () => {
    let signed = 0;
    let used = 0;
    await using host = await serve((request, response, self) => {
      const { searchParams } = new URL(request.url ?? "", host.origin);
      if (searchParams.get("signature") !== `s${signed}`) return response.writeHead(403).end();
      used += 1;
      const script = blobScript(BLOB, { etag: ETAG, ...(used === 1 && { cutAfter: HALF }) });
      return script(request, response, self);
    });
    await using registry = await serve((_, response) => {
      signed += 1;
      response.writeHead(307, { location: `${host.origin}/b?signature=s${signed}` }).end();
    });
    const { bytes, events } = await read([registry], {});
    expect(bytes.equals(BLOB)).toBe(true);
    expect(events.map(({ type }) => type)).toEqual(["resume"]);
    expect(host.requests.at(-1)?.headers).toMatchObject({ "if-range": ETAG });
  });
});

describe("a blob of several places", () => {
  test("N20 goes on at the next place where the first one breaks for good", async () => {
    let served = 0;
    await using mirror = await serve((request, response, self) => {
      served += 1;
      if (served > 1) return response.writeHead(404).end();
      return blobScript(BLOB, { etag: '"mirror"', cutAfter: HALF })(request, response, self);
    });
    await using primary = await serve(blobScript(BLOB, { etag: ETAG }));
    const { bytes, events } = await read([mirror, primary], {});
    expect(bytes.equals(BLOB)).toBe(true);
    expect(events.map(({ type }) => type)).toEqual(["resume", "mirror-failed"]);
    const first = Number(/^bytes=(\d+)-$/u.exec(primary.requests[0]?.headers.range ?? "")?.[1]);
    expect(first).toBeGreaterThan(0);
    expect(primary.requests[0]?.headers["if-range"]).toBeUndefined();
  });

  test("N20 other bytes of a mirror are told as tampering, and the next place is asked", async () => {
    await using mirror = await serve(blobScript(OTHER));
    await using primary = await serve(blobScript(BLOB));
    const { bytes, restarts, events } = await read([mirror, primary], {}, true);
    expect([bytes.equals(BLOB), restarts]).toEqual([true, [BLOB.length]]);
    expect(events).toMatchObject([{ type: "mirror-failed", tampering: true }, { type: "restart" }]);
    expect(mirror.requests).toHaveLength(1);
  });

  test("N20 a reader that cannot begin anew gets the error, and finds the next place then", async () => {
    await using mirror = await serve(blobScript(OTHER));
    await using primary = await serve(blobScript(BLOB));
    const { client, repository } = clientOf([mirror, primary]);
    await using _client = client;
    const open = (): Promise<Buffer> => bytesOf(repository.openContent(descriptorOf(BLOB)));
    await expect(open()).rejects.toMatchObject({ code: "ERR_CONTENT_DIGEST_MISMATCH" });
    expect((await open()).equals(BLOB)).toBe(true);
  });

  test("N20 small content is held back until it is right, so that no reader has to", async () => {
    const small = BLOB.subarray(0, 1000);
    await using mirror = await serve(blobScript(OTHER.subarray(0, 1000)));
    await using primary = await serve(blobScript(small));
    const { client, repository } = clientOf([mirror, primary]);
    await using _client = client;
    expect(Buffer.from(await readContent(repository, descriptorOf(small)))).toEqual(small);
  });

  test.for([
    ["N04 too few bytes", BLOB.subarray(0, HALF)],
    ["N04 too many bytes", Buffer.concat([BLOB, OTHER])],
  ] as const)("%s, with a clean end: the next place", async ([, body]) => {
    await using mirror = await serve((_, response) => {
      response.write(body.subarray(0, 1000));
      response.end(body.subarray(1000));
    });
    await using primary = await serve(blobScript(BLOB));
    const { bytes, events } = await read([mirror, primary], {}, true);
    expect(bytes.equals(BLOB)).toBe(true);
    expect(events).toMatchObject([{ type: "mirror-failed", tampering: true }]);
  });

  test("N05 a bit that flips once: got again; always: DigestMismatch after the second time", async () => {
    const flipped = BLOB.with(HALF, (BLOB[HALF] ?? 0) ^ 1);
    await using once = await serve((request, response, self) =>
      blobScript(self.requests.length === 1 ? flipped : BLOB)(request, response, self),
    );
    expect((await read([once], {}, true)).bytes.equals(BLOB)).toBe(true);
    expect(once.requests).toHaveLength(2);
    await using always = await serve(blobScript(flipped));
    await expect(read([always], {}, true)).rejects.toMatchObject({ kind: "DigestMismatch" });
    expect(always.requests).toHaveLength(2);
  });

  test("begins where the first bytes came from", async () => {
    await using mirror = await serve(blobScript(BLOB));
    await using primary = await serve(blobScript(BLOB, { etag: ETAG }));
    const url = `${primary.origin}/v2/team/app/blobs/${digestOf(BLOB)}`;
    const origin = { url, validator: ETAG };
    await read([mirror, primary], { offset: HALF, origin });
    expect([mirror.requests.length, primary.requests.length]).toEqual([0, 1]);
  });
});

describe("a reader that hashes what it is given", () => {
  test("is asked, and what it has found decides", async () => {
    await using mirror = await serve(blobScript(OTHER));
    await using primary = await serve(blobScript(BLOB));
    let asked = 0;
    const computeDigest = async () => digestOf([OTHER, BLOB][asked++] ?? BLOB);
    const { bytes, restarts } = await read([mirror, primary], { computeDigest }, true);
    expect([bytes.equals(BLOB), restarts, asked]).toEqual([true, [BLOB.length], 2]);
  });

  test("is not asked for what it got from elsewhere than the beginning", async () => {
    await using primary = await serve(blobScript(BLOB));
    const computeDigest = () => expect.fail("it was asked");
    const { bytes } = await read([primary], { offset: HALF, computeDigest });
    expect(bytes.equals(BLOB.subarray(HALF))).toBe(true);
  });
});

interface Reading {
  readonly bytes: Buffer;
  /** How many bytes were void at each new beginning. */
  readonly restarts: readonly number[];
  readonly events: readonly RegistryEvent[];
}

/** Reads from the last of `places`, the others being its mirrors. */
async function read(
  places: readonly ScriptedServer[],
  options: OpenContentOptions,
  canRestart = false,
): Promise<Reading> {
  const events: RegistryEvent[] = [];
  const { client, repository } = clientOf(places, { onEvent: (event) => events.push(event) });
  await using _client = client;
  let chunks: Uint8Array[] = [];
  const restarts: number[] = [];
  const onRestart = (): void => {
    restarts.push(Buffer.concat(chunks).length);
    chunks = [];
  };
  const wanted = { ...options, ...(canRestart && { onRestart }) };
  for await (const chunk of repository.openContent(descriptorOf(BLOB), wanted)) chunks.push(chunk);
  return { bytes: Buffer.concat(chunks), restarts, events };
}

function clientOf(
  places: readonly ScriptedServer[],
  options: RegistryClientOptions = {},
): { readonly client: AsyncDisposable; readonly repository: RepositoryClient } {
  const mirrors = places.slice(0, -1);
  const client = createRegistryClient({
    plainHttp: true,
    retryDelay: 1,
    mirrors: () => mirrors.map(({ host }) => ({ repository: parseRepository(`${host}/team/app`) })),
    ...options,
  });
  const host = places.at(-1)?.host ?? "";
  return { client, repository: client.repository(parseRepository(`${host}/team/app`)) };
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source));
}

function descriptorOf(bytes: Uint8Array): Descriptor {
  return { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: bytes.byteLength };
}

function cutFirst({ requests }: ScriptedServer): { readonly cutAfter?: number } {
  return requests.length === 1 ? { cutAfter: HALF } : {};
}

function rangesOr(script: Script): Script {
  return (request, response, server) =>
    (request.headers.range === undefined ? blobScript(BLOB) : script)(request, response, server);
}

type Answer = Parameters<Script>[1];

function wrongRange(response: Answer): void {
  response.writeHead(206, { "content-range": `bytes 0-9/${BLOB.length}` }).end("0123456789");
}

function inParts(response: Answer): void {
  response.writeHead(206, { "content-type": "multipart/byteranges; boundary=x" }).end("--x");
}
