import { randomBytes } from "node:crypto";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { createRegistryClient, type RegistryEvent } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { blobScript, tagOf } from "./support/blob-script.ts";
import { type Script, type ScriptedServer, serve } from "./support/scripted-server.ts";

const RATE = 4_000_000;
const BLOB = randomBytes(10 * RATE);
const ETAG = tagOf(BLOB);
const SLOW = { etag: ETAG, bytesPerSecond: RATE };
const DESCRIPTOR = {
  mediaType: MEDIA_TYPE.layerTar,
  digest: digestOf(BLOB),
  size: BLOB.length,
};

describe("a large blob from a slow server", { concurrent: true }, () => {
  test("comes over more connections at once, in order, nothing twice", async ({ expect }) => {
    let open = 0;
    let most = 0;
    const slow = blobScript(BLOB, SLOW);
    await using server = await serve((request, response, self) => {
      most = Math.max(most, (open += 1));
      response.once("close", () => (open -= 1));
      slow(request, response, self);
    });
    const { isRight, widths } = await read(server);
    // Each connection has a rate of its own here, so that one more always helps.
    expect([isRight, widths.slice(0, 2)]).toEqual([true, [2, 3]]);
    expect(most).toBeGreaterThan(2);
    const ranges = rangesOf(server);
    expect(new Set(ranges.map(({ condition }) => condition))).toEqual(new Set([ETAG]));
    const starts = ranges.map(({ first }) => first).toSorted((a, b) => a - b);
    expect(new Set(starts).size).toBe(ranges.length);
    // The first connection has brought what is before the first range.
    const asked = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    expect(asked).toBeLessThanOrEqual(BLOB.length - (starts[0] ?? 0));
  });

  test("comes over one connection if no more are wanted", async ({ expect }) => {
    await using server = await serve(blobScript(BLOB, SLOW));
    const { isRight } = await read(server, { maxRangesPerBlob: 1 });
    expect([isRight, server.requests.length]).toEqual([true, 1]);
  });

  test.for([
    ["has no validator", blobScript(BLOB, { bytesPerSecond: RATE }), 0],
    ["ignores ranges", blobScript(BLOB, { ...SLOW, ignoreRange: true }), 1],
    ["answers ranges with other bytes", liar(), 1],
  ] as const)("comes over one where it %s", async ([, script, tried], { expect }) => {
    await using server = await serve(script);
    const { isRight, widths } = await read(server);
    expect([isRight, widths]).toEqual([true, []]);
    expect(rangesOf(server)).toHaveLength(tried);
  });

  test("goes on over one when ranges break, from where it is", async ({ expect }) => {
    const whole = blobScript(BLOB, SLOW);
    let ranges = 0;
    await using server = await serve((request, response, self) => {
      if (/^bytes=\d+-$/u.test(request.headers.range ?? "bytes=0-")) {
        whole(request, response, self);
      } else if ((ranges += 1) < 3) whole(request, response, self);
      else response.writeHead(404).end();
    });
    const { isRight, widths } = await read(server);
    expect(isRight).toBe(true);
    expect(widths).not.toEqual([]);
    expect(server.requests.at(-1)?.headers.range).toMatch(/^bytes=\d+-$/u);
  });

  test("leaves the host's connections to other blobs", async ({ expect }) => {
    await using server = await serve(blobScript(BLOB, SLOW));
    const { isRight, widths } = await read(server, { maxConcurrentBlobs: 1 });
    expect([isRight, widths, rangesOf(server)]).toEqual([true, [], []]);
  });
});

test("a server that is fast is asked once", async () => {
  await using server = await serve(blobScript(BLOB, { etag: ETAG }));
  const { isRight } = await read(server);
  expect([isRight, server.requests.length]).toEqual([true, 1]);
});

interface Reading {
  readonly isRight: boolean;
  /** Connections, as they were told of. */
  readonly widths: readonly number[];
}

async function read(
  server: ScriptedServer,
  options: { readonly maxRangesPerBlob?: number; readonly maxConcurrentBlobs?: number } = {},
): Promise<Reading> {
  const events: RegistryEvent[] = [];
  const onEvent = (event: RegistryEvent): unknown => events.push(event);
  await using client = createRegistryClient({ plainHttp: true, onEvent, ...options });
  const repository = client.repository(parseRepository(`${server.host}/team/app`));
  let isRight = true;
  let position = 0;
  for await (const chunk of repository.openContent(DESCRIPTOR)) {
    isRight &&= BLOB.subarray(position, (position += chunk.length)).equals(chunk);
  }
  const widths = events.flatMap((event) => (event.type === "parallel" ? event.connections : []));
  return {
    isRight: isRight && position === BLOB.length,
    widths,
  };
}

interface AskedRange {
  readonly first: number;
  readonly last: number;
  readonly condition: string | undefined;
}

/** The bounded ranges that were asked for. */
function rangesOf({ requests }: ScriptedServer): readonly AskedRange[] {
  return requests.flatMap(({ headers }) => {
    const match = /^bytes=(\d+)-(\d+)$/u.exec(headers.range ?? "");
    if (match === null) return [];
    const condition = headers["if-range"] as string | undefined;
    return { first: Number(match[1]), last: Number(match[2]), condition };
  });
}

function liar(): Script {
  const whole = blobScript(BLOB, SLOW);
  return (request, response, server) => {
    if (request.headers.range === undefined) return whole(request, response, server);
    return response.writeHead(206, { "content-range": "bytes 0-9/10" }).end("0123456789");
  };
}
