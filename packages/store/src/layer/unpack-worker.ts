/**
 * Runs in a thread of its own: unpacks one layer after another, as it is told.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";

import { StoreError } from "../store-error.ts";
import { createLayerApplier } from "./apply-layer.ts";
import { decompress, detectCompression } from "./decompress.ts";
import { createTarReader, type TarSink } from "./tar-reader.ts";
import type { UnpackAnswer, UnpackFailure, UnpackJob, UnpackResult } from "./unpack-job.ts";

const READ_BYTES = 1024 * 1024;
const PROGRESS_MS = 50;

class CancelledError extends Error {}

parentPort?.on("message", (job: UnpackJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
  void run(job).then((answer) => parentPort?.postMessage(answer));
});

async function run(job: UnpackJob): Promise<UnpackAnswer> {
  try {
    return { type: "done", result: await unpack(job) };
  } catch (error) {
    if (error instanceof CancelledError) return { type: "cancelled" };
    return { type: "failed", failure: failureOf(error) };
  }
}

async function unpack(job: UnpackJob): Promise<UnpackResult> {
  const { limits } = job;
  const hash = createHash("sha256");
  let diffSize = 0;
  using applier = createLayerApplier(job.diffDir, limits);
  const reader = createTarReader(cancellable(applier, job), limits);
  using blob = openBlob(job);
  const chunks = blob.chunks();
  const first = chunks.next();
  const head = first.done ? Buffer.alloc(0) : first.value;
  const whole = first.done ? [] : prepend(head, chunks);
  for await (const chunk of decompress(whole, detectCompression(head), limits.maxFrames)) {
    throwIfCancelled(job);
    diffSize += chunk.length;
    if (diffSize > limits.maxBytes) {
      const message = `the layer unpacks to more than ${limits.maxBytes} bytes`;
      throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
    }
    hash.update(chunk);
    reader.push(chunk);
  }
  reader.finish();
  const applied = applier.finish();
  // Small buffers share memory, all of which would be copied to the other thread with each.
  const impliedDirectories = applied.impliedDirectories.map((path) => Uint8Array.from(path));
  return { diffID: `sha256:${hash.digest("hex")}`, diffSize, ...applied, impliedDirectories };
}

interface OpenBlob extends Disposable {
  chunks(): Generator<Buffer, void, undefined>;
}

/** Whoever reads may be given up at any chunk, also before the first: it is closed all the same. */
function openBlob(job: UnpackJob): OpenBlob {
  const fd = openSync(job.blobPath, "r");
  const state = { isOpen: true };
  return {
    *chunks() {
      let bytes = 0;
      let reported = 0;
      while (state.isOpen) {
        throwIfCancelled(job);
        const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
        const length = readSync(fd, buffer, 0, READ_BYTES, null);
        const now = performance.now();
        if (length === 0 || now - reported >= PROGRESS_MS) {
          reported = now;
          // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
          parentPort?.postMessage({ type: "progress", bytes } satisfies UnpackAnswer);
        }
        if (length === 0) return;
        bytes += length;
        yield buffer.subarray(0, length);
      }
    },
    [Symbol.dispose]() {
      state.isOpen = false;
      closeSync(fd);
    },
  };
}

function* prepend(head: Buffer, rest: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  yield head;
  yield* rest;
}

function cancellable(sink: TarSink, job: UnpackJob): TarSink {
  return {
    begin: (entry) => {
      throwIfCancelled(job);
      sink.begin(entry);
    },
    content: (bytes) => sink.content(bytes),
    hole: (length) => sink.hole(length),
    end: () => sink.end(),
  };
}

function throwIfCancelled(job: UnpackJob): void {
  if (Atomics.load(new Int32Array(job.cancelled), 0) !== 0) throw new CancelledError();
}

function failureOf(error: unknown): UnpackFailure {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { code, message: error.message, stack: error.stack };
}
