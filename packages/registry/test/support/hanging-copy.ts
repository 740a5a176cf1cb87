/**
 * Copies a blob into a place, prints `half` when a part of it is there, and goes on when its standard
 * input has said something: `hanging-copy.ts KIND PATH TEXT`.
 */
import { once } from "node:events";

import { digestOf, MEDIA_TYPE } from "@stowage/content";

import { placeOf } from "./places.ts";

const [kind = "", path = "", text = ""] = process.argv.slice(2);
const bytes = Buffer.alloc(64 * 1024, text);
const half = bytes.length / 2;
const blob = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: bytes.length };

await using destination = placeOf(kind, path);
await destination.writeBlob(blob, {
  async *openContent() {
    yield bytes.subarray(0, half);
    process.stdout.write("half\n");
    await once(process.stdin, "data");
    yield bytes.subarray(half);
  },
});
process.stdout.write("whole\n");
process.stdin.destroy();
