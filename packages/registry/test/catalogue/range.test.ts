import type { Step } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { rangeFrom } from "../support/good-answer.ts";
import { openStage, otherBytes, type Stage } from "../support/stage.ts";

const SIZE = 100_000;
const CUT = 60_000;
const BLOBS = /blobs/u;

describe("a blob whose connection breaks", () => {
  test.for([
    ["reset", 1],
    ["reset", SIZE / 2],
    ["reset", SIZE - 1],
    ["fin", 1],
    ["fin", SIZE / 2],
    ["fin", SIZE - 1],
  ] as const)("N01 N02 by %s after %i bytes goes on there", async ([end, after]) => {
    await using stage = await openStage();
    breakOnce(stage, after, end);
    await stage.readLayer();
    const [, first, second] = blobRequests(stage);
    expect(first?.headers.range).toBeUndefined();
    const from = Number(/^bytes=(\d+)-$/u.exec(second?.headers.range ?? "bytes=0-")?.[1]);
    expect(from).toBeLessThanOrEqual(after);
    // Twice the bytes at the most, even if a reset has overtaken what was sent.
    expect(after + SIZE - from).toBeLessThanOrEqual(2 * SIZE);
  });

  test("N01 as a pull, it ends in the very bytes", async () => {
    await using stage = await openStage();
    breakOnce(stage, CUT, "reset");
    await stage.pull();
  });

  test("N01 again and again without progress is given up", async () => {
    await using stage = await openStage();
    stage.fault(BLOBS, [{ body: stage.layer.bytes }, { sendBytes: 0 }, { fin: true }]);
    await stage.refuses("RegistryUnavailable", () => stage.readLayer());
    expect(blobRequests(stage).length).toBeLessThanOrEqual(3);
  });

  test("H27 N06 goes on with exactly what it asked for", async () => {
    await using stage = await openStage();
    breakOnce(stage, CUT, "fin");
    await stage.readLayer();
    expect(stage.events).toMatchObject([{ type: "resume", received: CUT }]);
    expect(blobRequests(stage).at(-1)?.headers.range).toBe(`bytes=${CUT}-`);
  });

  test("H27 N06 at a server that ignores Range skips what is here", async () => {
    await using stage = await openStage();
    breakOnce(stage, CUT, "fin");
    stage.fault(BLOBS, [{ headers: { etag: '"one"' } }, { body: stage.layer.bytes }]);
    await stage.readLayer();
  });

  test.for([
    ["another offset", [`bytes ${CUT - 1}-${SIZE - 1}/${SIZE}`]],
    ["no Content-Range", []],
    ["two of them", [range(CUT), range(CUT)]],
    ["a range of nothing", ["bytes */100"]],
    ["a range that goes backwards", ["bytes 5-3/10"]],
    ["another total", [`bytes ${CUT}-${SIZE - 1}/${SIZE + 1}`]],
    ["an unknown total", [`bytes ${CUT}-${SIZE - 1}/*`]],
    ["an end too soon", [`bytes ${CUT}-${SIZE - 2}/${SIZE}`]],
    ["another unit", [`items ${CUT}-${SIZE - 1}/${SIZE}`]],
    ["numbers beyond all", [`bytes ${CUT}-${"9".repeat(30)}/${"9".repeat(31)}`]],
  ] as const)(
    "H27 N06 at a server that answers 206 with %s: RegistryProtocol",
    async ([, ranges]) => {
      await using stage = await openStage();
      breakOnce(stage, CUT, "fin");
      const headers = { "content-range": ranges.length === 0 ? null : ranges };
      stage.fault(BLOBS, [{ status: 206 }, { headers }, { body: stage.layer.bytes.subarray(CUT) }]);
      await stage.refuses("RegistryProtocol", () => stage.readLayer());
    },
  );

  test.for([
    ["416", { status: 416, headers: {} }],
    ["another validator", { ...rangeFrom(Buffer.alloc(SIZE), CUT), etag: '"two"' }],
  ] as const)("H27 at a server that answers with %s: RegistryProtocol", async ([what, answer]) => {
    await using stage = await openStage();
    breakOnce(stage, CUT, "fin");
    const status = what === "416" ? 416 : 206;
    const headers = { ...answer.headers, ...("etag" in answer && { etag: answer.etag }) };
    stage.fault(BLOBS, [{ status }, { headers }, { body: stage.layer.bytes.subarray(CUT) }]);
    await stage.refuses("RegistryProtocol", () => stage.readLayer());
  });

  test("H27 206 that nobody asked for is RegistryProtocol", async () => {
    await using stage = await openStage();
    const headers = { "content-range": range(0) };
    stage.fault(BLOBS, [{ status: 206 }, { headers }, { body: stage.layer.bytes }]);
    await stage.refuses("RegistryProtocol", () => stage.readLayer());
  });

  test.for([
    ["as it should be", "multipart/byteranges; boundary=x", parts([CUT])],
    ["without a boundary", "multipart/byteranges", parts([CUT])],
    ["of ten thousand", "multipart/byteranges; boundary=x", parts(Array(10_000).fill(CUT))],
    ["out of order", "multipart/byteranges; boundary=x", parts([CUT + 1, CUT])],
  ] as const)("H28 an answer in parts, %s, is RegistryProtocol", async ([, type, body]) => {
    await using stage = await openStage();
    breakOnce(stage, CUT, "fin");
    const headers = { "content-type": type, "content-range": range(CUT) };
    stage.fault(BLOBS, [{ status: 206 }, { headers }, { body }]);
    await stage.refuses("RegistryProtocol", () => stage.readLayer());
  });

  test("H29 N06 and goes on with another blob: DigestMismatch, and once from the start", async () => {
    await using stage = await openStage();
    const other = otherBytes(SIZE);
    const layer = new RegExp(stage.layer.descriptor.digest, "u");
    breakOnce(stage, CUT, "fin", layer);
    const rest: Step[] = [{ headers: { "content-range": range(CUT), etag: '"one"' } }];
    stage.fault(layer, [{ status: 206 }, ...rest, { body: other.subarray(CUT) }], {
      headers: { authorization: /./u, range: /./u },
      nth: 1,
    });
    await stage.pull();
    const asked = blobRequests(stage).filter(({ path }) => layer.test(path));
    expect(asked.at(-1)?.headers.range).toBeUndefined();
  });

  test("H29 and always goes on with another blob: DigestMismatch", async () => {
    await using stage = await openStage();
    const layer = new RegExp(stage.layer.descriptor.digest, "u");
    const other = otherBytes(SIZE).subarray(CUT);
    const headers = { "content-range": range(CUT), etag: '"one"' };
    stage.fault(layer, [{ status: 206 }, { headers }, { body: other }], {
      headers: { authorization: /./u, range: /./u },
    });
    const whole = [{ headers: { etag: '"one"' } }, { body: stage.layer.bytes }];
    stage.fault(layer, [...whole, { sendBytes: CUT }, { fin: true }]);
    await stage.refuses("DigestMismatch", () => stage.pull());
  });
});

function breakOnce(stage: Stage, after: number, end: "fin" | "reset", path = BLOBS): void {
  // A reset may overtake what was sent before it.
  const ending: Step[] = end === "fin" ? [{ fin: true }] : [{ sleep: 30 }, { reset: true }];
  const whole = [{ headers: { etag: '"one"' } }, { body: stage.layer.bytes }];
  const layer = path === BLOBS ? new RegExp(stage.layer.descriptor.digest, "u") : path;
  stage.fault(layer, [...whole, { sendBytes: after }, ...ending], { nth: 1 });
}

function blobRequests({ registry }: Stage) {
  return registry.requests.filter(({ path }) => BLOBS.test(path));
}

function range(first: number): string {
  return `bytes ${first}-${SIZE - 1}/${SIZE}`;
}

function parts(offsets: readonly number[]): string {
  return offsets.map((first) => `--x\r\nContent-Range: ${range(first)}\r\n\r\nx\r\n`).join("");
}
