import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import {
  type ContentOrigin,
  type ContentProvider,
  type Descriptor,
  digestOf,
  type OpenContentOptions,
  readContent,
} from "@stowage/content";
import { describe, expect, test } from "vitest";

import { chunksOf, descriptorOfChunks } from "./support/chunks.ts";
import { openWorld, type StoreWorld } from "./support/store-world.ts";

const COUNT = 20;
const BLOB = chunksOf(COUNT);
const DESCRIPTOR = descriptorOfChunks(COUNT);
const tripwire: ContentProvider = { openContent: () => expect.fail("content was opened") };

describe("R18: a blob whose download was killed", () => {
  test.for([1, 7, COUNT - 1])("after %i chunks goes on there", async (written) => {
    await using world = await openWorld();
    const worker = await startWorker(world);
    await worker.write(written);
    await worker.kill();
    const whole = providerOf(BLOB);
    const progress: number[] = [];
    const onProgress = (received: number): unknown => progress.push(received);
    await world.store.blobs.ingest(DESCRIPTOR, whole, { onProgress });
    expect(whole.offsets).toEqual([written * 1000]);
    expect(progress[0]).toBe(written * 1000);
    expect(Buffer.from(await readContent(world.store.blobs, DESCRIPTOR))).toEqual(BLOB);
    expect(readdirSync(join(world.root, "ingest"))).toEqual([]);
  });

  test("again and again is opened at each end, and whole in the end", async () => {
    await using world = await openWorld();
    const opened: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const worker = await startWorker(world);
      opened.push(worker.offset);
      await worker.write(3);
      await worker.kill();
    }
    expect(opened).toEqual([0, 3000, 6000, 9000]);
    await world.store.blobs.ingest(DESCRIPTOR, providerOf(BLOB));
    expect(Buffer.from(await readContent(world.store.blobs, DESCRIPTOR))).toEqual(BLOB);
  });

  test.for([
    ["another boot, with nothing synced", { bootId: "another", synced: 0 }, 0],
    ["another boot, with some synced", { bootId: "another", synced: 2000 }, 2000],
    ["another boot, with more than there is", { bootId: "another", synced: 9000 }, 5000],
    ["the same boot", {}, 5000],
    ["a claim of another size", { size: 5 }, 0],
    ["an earlier version", { version: 1 }, 0],
    ["a damaged record", "{", 0],
    ["an empty record", "", 0],
  ] as const)("R20: in %s: only what is certain is kept", async ([, change, offset]) => {
    await using world = await openWorld();
    await interrupt(world, 5);
    const path = metaPath(world);
    const meta = JSON.parse(readFileSync(path, "utf8")) as object;
    writeFileSync(
      path,
      typeof change === "string" ? change : JSON.stringify({ ...meta, ...change }),
    );
    const whole = providerOf(BLOB);
    await world.store.blobs.ingest(DESCRIPTOR, whole);
    expect(whole.offsets).toEqual([offset]);
  });

  test("keeps where it came from, without what was begun anew", async () => {
    await using world = await openWorld();
    const one = { url: "https://one.example/v2/a/blobs/x", validator: '"1"' };
    const two = { url: "https://two.example/v2/a/blobs/x" };
    await interrupt(world, 5, one);
    const seen: OpenContentOptions[] = [];
    const cut: ContentProvider = {
      async *openContent(_, options = {}) {
        seen.push(options);
        await options.onRestart?.();
        options.onOrigin?.(two);
        yield BLOB.subarray(0, 3000);
        throw new Error("cut off");
      },
    };
    await expect(world.store.blobs.ingest(DESCRIPTOR, cut)).rejects.toThrow("cut off");
    const progress: number[] = [];
    const onProgress = (received: number): unknown => progress.push(received);
    const whole: ContentProvider = {
      async *openContent(_, options = {}) {
        seen.push(options);
        yield BLOB.subarray(options.offset, 9000);
        await options.onRestart?.();
        yield BLOB;
      },
    };
    await world.store.blobs.ingest(DESCRIPTOR, whole, { onProgress });
    expect(seen).toMatchObject([
      { offset: 5000, origin: one },
      { offset: 3000, origin: two },
    ]);
    expect(progress).toEqual([3000, 9000, 0, BLOB.length]);
    expect(Buffer.from(await readContent(world.store.blobs, DESCRIPTOR))).toEqual(BLOB);
  });

  test.for([
    ["a small blob", 20_000],
    ["one that another thread hashes", 5_000_000],
  ] as const)("%s is hashed for whoever delivers it, who may begin anew then", async ([, size]) => {
    await using world = await openWorld();
    const right = Buffer.alloc(size, "right");
    const wrong = Buffer.alloc(size, "wrong");
    const told: unknown[] = [];
    const doubting: ContentProvider = {
      async *openContent(_, { computeDigest, onRestart } = {}) {
        yield wrong;
        told.push(await computeDigest?.());
        await onRestart?.();
        yield right;
        told.push(await computeDigest?.());
      },
    };
    const descriptor = { mediaType: "application/octet-stream", digest: digestOf(right), size };
    await world.store.blobs.ingest(descriptor, doubting);
    expect(told).toEqual([digestOf(wrong), digestOf(right)]);
    const found = await readContent(world.store.blobs, descriptor, { maxBytes: size });
    expect(Buffer.from(found).equals(right)).toBe(true);
  });

  test("R20: is on the disk up to where its record says, and says more as it grows", async () => {
    await using world = await openWorld();
    const chunk = Buffer.alloc(1024 * 1024, 7);
    const large = Array.from({ length: 140 }, () => chunk);
    const bytes = Buffer.concat(large);
    const descriptor: Descriptor = {
      mediaType: "application/octet-stream",
      digest: digestOf(bytes),
      size: bytes.length,
    };
    const cut: ContentProvider = {
      async *openContent() {
        yield* large.slice(0, 100);
        await expect.poll(() => syncedOf(world), { timeout: 30_000 }).toBeGreaterThan(0);
        throw new Error("cut off");
      },
    };
    await expect(world.store.blobs.ingest(descriptor, cut)).rejects.toThrow("cut off");
    const synced = syncedOf(world);
    expect(synced).toBeLessThanOrEqual(statSync(join(metaPath(world), "../data")).size);
    const rest = providerOf(bytes);
    await world.store.blobs.ingest(descriptor, rest);
    expect(rest.offsets).toEqual([100 * chunk.length]);
  });
});

describe("a blob that another is getting", () => {
  test("R22: is followed in another process, whose progress is shown, and not got twice", async () => {
    await using world = await openWorld();
    const worker = await startWorker(world);
    await worker.write(3);
    const progress: number[] = [];
    let follows = 0;
    const followed = world.store.blobs.ingest(DESCRIPTOR, tripwire, {
      onFollow: () => (follows += 1),
      onProgress: (received) => progress.push(received),
    });
    await expect.poll(() => progress).toContain(3000);
    await worker.write(4);
    await expect.poll(() => progress).toContain(7000);
    await worker.write(COUNT - 7);
    await followed;
    expect([follows, progress.at(-1)]).toEqual([1, BLOB.length]);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(Buffer.from(await readContent(world.store.blobs, DESCRIPTOR))).toEqual(BLOB);
    await worker.ended;
    expect(readdirSync(join(world.root, "ingest"))).toEqual([]);
  });

  test("R18: is taken over where that one was killed", async () => {
    await using world = await openWorld();
    const worker = await startWorker(world);
    await worker.write(6);
    const whole = providerOf(BLOB);
    const { promise: following, resolve: onFollow } = Promise.withResolvers<void>();
    const taken = world.store.blobs.ingest(DESCRIPTOR, whole, { onFollow });
    await following;
    await worker.kill();
    await taken;
    expect(whole.offsets).toEqual([6000]);
    expect(Buffer.from(await readContent(world.store.blobs, DESCRIPTOR))).toEqual(BLOB);
  });

  test("is got beside one that gets no further", async () => {
    await using world = await openWorld();
    const worker = await startWorker(world);
    await worker.write(2);
    const whole = providerOf(BLOB);
    await world.store.blobs.ingest(DESCRIPTOR, whole, { followPatience: 300 });
    expect(whole.offsets).toEqual([0]);
    await worker.write(COUNT - 2);
    expect(await worker.ended).toBe(0);
    expect(Buffer.from(await readContent(world.store.blobs, DESCRIPTOR))).toEqual(BLOB);
  });

  test("is left at once by who gives up", async () => {
    await using world = await openWorld();
    const worker = await startWorker(world);
    const stop = new AbortController();
    const reason = new Error("enough");
    const onFollow = (): void => stop.abort(reason);
    const options = { signal: stop.signal, onFollow };
    await expect(world.store.blobs.ingest(DESCRIPTOR, tripwire, options)).rejects.toBe(reason);
    await worker.kill();
  });

  test("in the same process is got once, by whoever is left", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    const stop = new AbortController();
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const first: ContentProvider = {
      async *openContent(_, options) {
        yield BLOB.subarray(0, 5000);
        begun.resolve();
        await gate.promise;
        options?.signal?.throwIfAborted();
      },
    };
    const reason = new Error("the first leaves");
    const leaving = expect(blobs.ingest(DESCRIPTOR, first, stop)).rejects.toBe(reason);
    await begun.promise;
    const whole = providerOf(BLOB);
    const others = [1, 2, 3].map(() => blobs.ingest(DESCRIPTOR, whole));
    stop.abort(reason);
    gate.resolve();
    await leaving;
    await Promise.all(others);
    expect(whole.offsets).toEqual([5000]);
  });
});

interface Worker {
  /** Where it began. */
  readonly offset: number;
  /** Resolves when so many more chunks are in the file. */
  readonly write: (count: number) => Promise<void>;
  readonly kill: () => Promise<void>;
  readonly ended: Promise<number | null>;
}

async function startWorker(world: StoreWorld): Promise<Worker> {
  const script = join(import.meta.dirname, "support/ingest-worker.ts");
  const args = ["--conditions=@stowage/source", script, world.root, world.runRoot, `${COUNT}`];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const ended = once(child, "close").then(([code]) => code as number | null);
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const offset = Number(line.split(" ")[1]);
  let expected = offset;
  return {
    offset,
    async write(count) {
      child.stdin.write(`${count}\n`);
      expected += count * 1000;
      if (expected === BLOB.length) return;
      const path = join(metaPath(world), "../data");
      await expect.poll(() => statSync(path).size, { interval: 5 }).toBe(expected);
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    ended,
  };
}

/** Leaves so many chunks of a download behind. */
async function interrupt(world: StoreWorld, chunks: number, origin?: ContentOrigin): Promise<void> {
  const cut: ContentProvider = {
    async *openContent(_, options) {
      if (origin !== undefined) options?.onOrigin?.(origin);
      yield BLOB.subarray(0, chunks * 1000);
      throw new Error("cut off");
    },
  };
  await expect(world.store.blobs.ingest(DESCRIPTOR, cut)).rejects.toThrow("cut off");
}

function providerOf(bytes: Uint8Array): ContentProvider & { readonly offsets: readonly number[] } {
  const offsets: number[] = [];
  return {
    offsets,
    async *openContent(_, { offset = 0 } = {}) {
      offsets.push(offset);
      yield bytes.subarray(offset);
    },
  };
}

function metaPath(world: StoreWorld): string {
  const ingest = join(world.root, "ingest");
  const [key = ""] = readdirSync(ingest).filter((name) => !name.endsWith(".lock"));
  return join(ingest, key, "meta.json");
}

function syncedOf(world: StoreWorld): number {
  return (JSON.parse(readFileSync(metaPath(world), "utf8")) as { synced: number }).synced;
}
