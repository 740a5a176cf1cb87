import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { type ContentProvider, digestOf } from "@stowage/content";
import { expect, test } from "vitest";

import { openWorld } from "./support/store-world.ts";

const BLOB = Buffer.alloc(20 * 1024 * 1024, "stowage ");
const CHUNK = 200 * 1024;

test("a large blob that is given up while some of it is written wakes no thread", async () => {
  await using world = await openWorld();
  const threads = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === "MessagePort").length;
  const before = threads();
  const ingests = join(world.root, "ingest");
  const written = (): number =>
    Math.max(
      ...readdirSync(ingests).map(
        (name) => statSync(join(ingests, name, "data"), { throwIfNoEntry: false })?.size ?? 0,
      ),
    );
  const source: ContentProvider = {
    async *openContent() {
      // Just less than a thread is told of, and all of it written.
      for (let at = 0; at < 5; at += 1) {
        yield BLOB.subarray(at * CHUNK, (at + 1) * CHUNK);
        await expect.poll(written).toBe((at + 1) * CHUNK);
      }
      yield BLOB.subarray(5 * CHUNK, 6 * CHUNK);
      throw new Error("cut");
    },
  };
  const claim = { digest: digestOf(BLOB), size: BLOB.length, mediaType: "text/plain" };
  await expect(world.store.blobs.ingest(claim, source)).rejects.toThrow("cut");
  expect(threads()).toBe(before);
});
