import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { Worker } from "node:worker_threads";
import { createGunzip } from "node:zlib";

import type { PartWay } from "./parts-report.ts";
import { piecesOf, type Sample } from "./parts-sample.ts";

const CHUNK_BYTES = 1024 * 1024;

const INFLATE = `
const { parentPort, workerData } = require("node:worker_threads");
const { createReadStream } = require("node:fs");
const { createGunzip } = require("node:zlib");
const stream = createReadStream(workerData.file).pipe(createGunzip({ chunkSize: ${CHUNK_BYTES} }));
stream.on("data", (chunk) => {
  const own = new Uint8Array(chunk);
  parentPort.postMessage(own, [own.buffer]);
});
stream.on("end", () => parentPort.postMessage(undefined));
`;

/** Unpacking and hashing on one thread, and on two with the chunks handed over. */
export function threadParts({ gzip, gzipFile, tar }: Sample): readonly PartWay[] {
  const way = (name: string, run: () => Promise<number>): PartWay => ({
    part: "gunzip+sha256",
    way: name,
    unit: "MB/s",
    async run() {
      const bytes = await run();
      if (bytes !== tar.length) throw new Error(`${bytes} of ${tar.length} bytes were unpacked`);
      return bytes;
    },
  });
  return [
    way("one thread", async () => {
      const chunks = Readable.from(piecesOf(gzip, CHUNK_BYTES)).pipe(
        createGunzip({ chunkSize: CHUNK_BYTES }),
      );
      return await hashAll(chunks as AsyncIterable<Uint8Array>);
    }),
    way("two threads", async () => {
      const worker = new Worker(INFLATE, { eval: true, workerData: { file: gzipFile } });
      try {
        return await hashAll(messagesOf(worker));
      } finally {
        await worker.terminate();
      }
    }),
  ];
}

async function* messagesOf(worker: Worker): AsyncGenerator<Uint8Array, void, undefined> {
  const waiting: (Uint8Array | undefined)[] = [];
  let wake = Promise.withResolvers<void>();
  worker.on("message", (chunk: Uint8Array | undefined) => {
    waiting.push(chunk);
    wake.resolve();
  });
  worker.on("error", (error) => wake.reject(error));
  for (;;) {
    await wake.promise;
    wake = Promise.withResolvers<void>();
    for (const chunk of waiting.splice(0)) {
      if (chunk === undefined) return;
      yield chunk;
    }
  }
}

async function hashAll(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  hash.digest();
  return bytes;
}
