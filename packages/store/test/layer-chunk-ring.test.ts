import { Worker } from "node:worker_threads";

import { describe, expect, test } from "vitest";

import {
  abortRing,
  createRing,
  RingAbortedError,
  RingReader,
  RingWriter,
  type SharedRing,
} from "../src/layer/chunk-ring.ts";

const READER = new URL("./support/ring-reader.ts", import.meta.url);

describe("a ring between two threads", () => {
  test("passes on every byte in order, whoever is faster", async () => {
    const ring = createRing(3, 64);
    const read = readElsewhere(ring);
    const writer = new RingWriter(ring);
    const sent: number[] = [];
    for (let turn = 0; turn < 2000; turn += 1) {
      const slot = writer.reserve();
      const length = 1 + (turn % slot.length);
      for (let index = 0; index < length; index += 1) sent.push((slot[index] = turn % 251));
      writer.commit(length);
    }
    writer.reserve();
    writer.end();
    expect(Buffer.compare(await read, Buffer.from(sent))).toBe(0);
  });

  test("ends a reader that waits when it is given up", async () => {
    const ring = createRing(2, 16);
    const read = readElsewhere(ring);
    abortRing(ring);
    await expect(read).rejects.toMatchObject({ name: "RingAbortedError" });
  });

  test("lets nobody on once it is given up", () => {
    const ring = createRing(1, 16);
    const writer = new RingWriter(ring);
    writer.reserve();
    writer.commit(16);
    abortRing(ring);
    expect(() => writer.reserve()).toThrow(RingAbortedError);
    expect(() => [...new RingReader(ring)]).toThrow(RingAbortedError);
  });
});

async function readElsewhere(ring: SharedRing): Promise<Buffer> {
  const worker = new Worker(READER, { workerData: ring });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  worker.on("message", (bytes: Uint8Array) => resolve(Buffer.from(bytes)));
  worker.on("error", reject);
  try {
    return await promise;
  } finally {
    await worker.terminate();
  }
}
