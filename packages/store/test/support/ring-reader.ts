/** Reads a ring to its end, in a thread that sleeps while there is nothing, and answers the bytes. */
import { parentPort, workerData } from "node:worker_threads";

import { RingReader, type SharedRing } from "../../src/layer/chunk-ring.ts";

const chunks: Buffer[] = [];
for (const chunk of new RingReader(workerData as SharedRing)) chunks.push(Buffer.from(chunk));
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
parentPort?.postMessage(Buffer.concat(chunks));
