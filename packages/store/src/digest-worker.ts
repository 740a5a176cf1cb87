/**
 * Runs in a thread of its own: hashes files as they grow, each a piece at a time.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";

import type { DigestAnswer, DigestOrder } from "./digest-job.ts";

interface GrowingFile {
  readonly fd: number;
  readonly algorithm: string;
  hash: Hash;
  position: number;
  to: number;
  isFinished: boolean;
}

const READ_BYTES = 1024 * 1024;
const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
const files = new Map<number, GrowingFile>();
let isRunning = false;

parentPort?.on("message", (order: DigestOrder) => {
  obey(order);
  if (!isRunning) run();
});

function obey(order: DigestOrder): void {
  if (order.type === "begin") {
    const { id, path, algorithm } = order;
    try {
      const file = { algorithm, hash: createHash(algorithm), position: 0, to: 0 };
      files.set(id, { ...file, fd: openSync(path, "r"), isFinished: false });
    } catch (error) {
      answer(failureOf(id, error));
    }
    return;
  }
  const file = files.get(order.id);
  if (file === undefined) return;
  if (order.type === "drop") close(order.id, file);
  else {
    file.to = order.to;
    file.isFinished = order.type === "finish";
  }
}

/** One piece of each file, and then on to what has been ordered meanwhile. */
function run(): void {
  isRunning = false;
  for (const [id, file] of files) {
    try {
      if (file.position < file.to) hashPiece(file);
      if (file.position < file.to) isRunning = true;
      else if (file.isFinished) {
        answer({ id, digest: `${file.algorithm}:${file.hash.digest("hex")}` });
        close(id, file);
      }
    } catch (error) {
      answer(failureOf(id, error));
      close(id, file);
    }
  }
  if (isRunning) setImmediate(run);
}

function hashPiece(file: GrowingFile): void {
  const wanted = Math.min(READ_BYTES, file.to - file.position);
  const length = readSync(file.fd, buffer, 0, wanted, file.position);
  // A file that is shorter than it was said to be has another digest.
  if (length === 0) file.position = file.to;
  file.hash.update(buffer.subarray(0, length));
  file.position += length;
}

function close(id: number, file: GrowingFile): void {
  files.delete(id);
  closeSync(file.fd);
}

function answer(message: DigestAnswer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
  parentPort?.postMessage(message);
}

function failureOf(id: number, error: unknown): DigestAnswer {
  if (!(error instanceof Error)) return { id, code: undefined, message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { id, code, message: error.message };
}
