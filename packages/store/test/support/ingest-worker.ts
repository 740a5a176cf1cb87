/**
 * A process that takes a blob of so many chunks of 1000 bytes into a store: `COUNT` on stdin lets it
 * write so many more. It prints `opened OFFSET`, and `done` at the end.
 */
import { createInterface } from "node:readline";

import { openStore } from "@stowage/store";

import { chunkOf, descriptorOfChunks } from "./chunks.ts";

const [root = "", runRoot = "", total = ""] = process.argv.slice(2);
const count = Number(total);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
await using store = await openStore({ root, runRoot });
await store.blobs.ingest(descriptorOfChunks(count), {
  async *openContent(_, { offset = 0 } = {}) {
    process.stdout.write(`opened ${offset}\n`);
    let allowed = 0;
    for (let index = offset / 1000; index < count; index += 1, allowed -= 1) {
      if (allowed === 0) allowed = Number((await lines.next()).value);
      yield chunkOf(index);
    }
  },
});
process.stdout.write("done\n");
process.stdin.destroy();
