import type { Step } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openStage } from "../support/stage.ts";

const LIMITS = { stallTimeout: 400, minRate: 25_000, minRateWindow: 400 };

describe("a server that stalls", () => {
  test.for([
    ["before the headers", (_: Uint8Array) => [{ sleep: 10_000 }]],
    ["after the headers", (body) => [{ body }, { sendBytes: 0 }, { stall: true }]],
    ["in the middle", (body) => [{ body }, { sendBytes: 50_000 }, { stall: true }]],
    ["at the last byte", (body) => [{ body }, { sendBytes: 99_999 }, { stall: true }]],
    ["but for a byte now and then", (body) => [{ body }, { trickle: { bytes: 1, every: 40 } }]],
  ] as const satisfies readonly [string, (body: Uint8Array) => Step[]][])(
    "H31 N07 %s is PullStalled within its time, and disturbs no other",
    async ([, steps]) => {
      await using stage = await openStage(LIMITS);
      await stage.fetchManifest();
      const { bytes } = stage.layer;
      stage.fault(new RegExp(stage.layer.descriptor.digest, "u"), steps(bytes));
      const started = performance.now();
      const stalled = stage.refuses("PullStalled", () => stage.readLayer());
      await stage.fetchManifest();
      expect(await stalled).toMatchObject({ retryable: true });
      expect(performance.now() - started).toBeLessThan(4000);
    },
  );

  test("H31 N07 with headers that trickle is PullStalled", async () => {
    await using stage = await openStage(LIMITS);
    const { repository } = await stage.raw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => socket.write("X-A: b\r\n"), 50);
      socket.once("close", () => clearInterval(timer));
    });
    await stage.refuses("PullStalled", () => stage.readLayer(repository));
  });

  test("N08 is another than one that is slow and steady for longer than the limit", async () => {
    await using stage = await openStage(LIMITS);
    stage.fault(new RegExp(stage.layer.descriptor.digest, "u"), [
      { body: stage.layer.bytes },
      { throttle: 100_000 },
    ]);
    const started = performance.now();
    await stage.readLayer();
    expect(performance.now() - started).toBeGreaterThan(2 * LIMITS.stallTimeout);
  });

  test("N09 is another than a disk that is slow with what has come", async () => {
    await using stage = await openStage({ ...LIMITS, size: 3_000_000 });
    stage.fault(new RegExp(stage.layer.descriptor.digest, "u"), [
      { body: stage.layer.bytes },
      { throttle: 6_000_000 },
    ]);
    const read: Uint8Array[] = [];
    for await (const chunk of stage.repository.openContent(stage.layer.descriptor)) {
      if (read.length === 0) await new Promise((wake) => setTimeout(wake, 3 * LIMITS.stallTimeout));
      read.push(chunk);
    }
    expect(Buffer.concat(read).equals(stage.layer.bytes)).toBe(true);
  });
});
