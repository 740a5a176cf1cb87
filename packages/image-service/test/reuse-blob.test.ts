import { chmod, readdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { digestOf } from "@stowage/content";
import type { PullProgress } from "@stowage/image-service";
import { noise } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  type ChunkedLayer,
  type ChunkedOptions,
  type Entry,
  type Files,
  imageOf,
  makeStargz,
  makeZstdChunked,
} from "./support/chunked-layer.ts";
import { text } from "./support/words.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const FORMS = { "zstd:chunked": makeZstdChunked, eStargz: makeStargz } as const;
const FILE_BYTES = 60_000;
const MAKERS = Object.entries(FORMS);

describe("a layer of which the store has an older version", () => {
  test.each(MAKERS)("row 43: as %s comes with what is new in it alone", async (_, make) => {
    await using world = await openWorld();
    const layer = await pushVersions(world, make);
    const { size, digest } = layer.descriptor;
    const events: PullProgress[] = [];
    const onProgress = (event: PullProgress): void => void events.push(event);
    const { transferred } = await world.images.pull(`${APP}:2`, { onProgress });
    const { reused = 0, bytes, blobs } = transferred;
    expect(blobs).toBe(2);
    // Every byte is either copied or got, and none both; with the config's.
    const got = world.registry.ranges.reduce((sum, { offset, end }) => sum + end - offset, 0);
    expect(bytes - got).toBeLessThan(500);
    expect(reused + got).toBeGreaterThanOrEqual(size);
    // Of an eStargz at least the last 64 KiB are looked at, and a changed header takes a piece of file.
    expect(got).toBeLessThan(make === makeStargz ? 0.7 * size : 0.35 * size);
    expect(world.registry.fetched).not.toContain(digest);
    expect(events).toContainEqual(expect.objectContaining({ type: "blob-reuse", digest, reused }));
    expect(events).toContainEqual({ type: "blob-done", digest, size, reused });
    await expectSound(world, layer);
  });

  test.each(MAKERS)("as %s is put together of several others", async (_, make) => {
    await using world = await openWorld();
    const { one, two, three, five, ...rest } = files();
    const parts = [
      make({ one: one as Buffer, two: two as Buffer }),
      make({ three: three as Buffer, five: five as Buffer, ...rest }),
    ];
    await world.registry.push("registry.test/other:1", imageOf(...parts));
    await world.images.pull("registry.test/other:1");
    const layer = make(files());
    await world.registry.push(`${APP}:2`, imageOf(layer));
    const { transferred } = await world.images.pull(`${APP}:2`);
    expect(transferred.reused).toBeGreaterThan(0.6 * layer.bytes.length);
    await expectSound(world, layer);
  });

  test("comes whole where its files are packed otherwise", async () => {
    await using world = await openWorld();
    const words = {
      one: text("one", 100_000),
      two: text("two", 100_000),
      six: noise("6", 200_000),
    };
    await pull(world, "1", makeZstdChunked(words, { level: 1 }));
    const layer = makeZstdChunked({ ...words, new: noise("new", 1000) }, { level: 19 });
    const { transferred, events } = await pull(world, "2", layer);
    expect(transferred.reused).toBeUndefined();
    expect(events.map(({ type }) => type)).not.toContain("blob-reuse-failed");
    await expectSound(world, layer);
  });

  test("comes from the store alone where the store has all of it", async () => {
    await using world = await openWorld();
    await pull(world, "1", makeZstdChunked({ first: noise("first", 1000), ...files() }));
    const layer = makeZstdChunked(files());
    const { transferred } = await pull(world, "2", layer);
    expect(transferred.bytes).toBeLessThan(20_000);
    await expectSound(world, layer);
  });
});

describe("a layer whose files have other times than in the store", () => {
  const names = Array.from({ length: 100 }, (_, at) => `file-${at}`);
  const many = Object.fromEntries(names.map((name) => [name, noise(name, 5000)]));

  test("comes with their headers alone where many ranges are to be had at once", async () => {
    await using world = await openWorld();
    world.registry.maxRanges = 1000;
    await pull(world, "1", makeZstdChunked(many, { time: 1 }));
    const layer = makeZstdChunked(many, { time: 2 });
    const { transferred, events } = await pull(world, "2", layer);
    expect(transferred.bytes).toBeLessThan(0.15 * layer.bytes.length);
    expect(events).toContainEqual(expect.objectContaining({ type: "blob-reuse", ranges: 101 }));
    await expectSound(world, layer);
  });

  test("comes in few ranges where they are not", async () => {
    await using world = await openWorld();
    const large = { one: noise("1", 60_000), ...many, two: noise("2", 60_000) };
    await pull(world, "1", makeZstdChunked(large, { time: 1 }));
    for (const time of [2, 3]) {
      const layer = makeZstdChunked(large, { time });
      const { transferred, events } = await pull(world, `${time}`, layer);
      expect(transferred.reused).toBeGreaterThanOrEqual(120_000);
      const tries = events.flatMap((event) => (event.type === "blob-reuse" ? [event.ranges] : []));
      expect(tries).toEqual([103, 3]);
      await expectSound(world, layer);
    }
  });
});

describe("V22: a table of contents that lies", () => {
  test.each(MAKERS)("costs a transfer and changes nothing: %s", async (_, make) => {
    await using world = await openWorld();
    await pull(world, "1", make(files(), { level: 0 }));
    const other = { ...files(), two: noise("not two", FILE_BYTES) };
    // It says that the second file is the old one, of which the length is the same.
    const toc = (entries: readonly Entry[]) => ({ version: 1, entries: withTwo(entries, make) });
    const layer = make(other, { level: 0, toc });
    const { transferred, events } = await pull(world, "2", layer);
    expect(transferred.bytes).toBeGreaterThanOrEqual(layer.bytes.length);
    expect(transferred.reused).toBeUndefined();
    const types = events.map(({ type }) => type);
    expect(types).toContain("blob-reuse-failed");
    expect(types).toContain("blob-restart");
    await expectSound(world, layer);
  });

  test.each<[string, ChunkedOptions]>([
    [
      "is not the one of the annotation",
      { annotations: (it) => alter(it, /checksum$/, digestOf(Buffer.alloc(1))) },
    ],
    ["is behind the blob", { annotations: (it) => alter(it, /position$/, "9000000:100:100:1") }],
    ["is before the blob", { annotations: (it) => alter(it, /position$/, "4:100:100:1") }],
    ["has a position that is none", { annotations: (it) => alter(it, /position$/, "1:-1:x:1") }],
    [
      "is of another kind",
      { annotations: (it) => alter(it, /position$/, (was) => was.replace(/1$/, "2")) },
    ],
    [
      "unpacks to more than it says",
      { annotations: (it) => alter(it, /position$/, (was) => was.replace(/:\d+:1$/, ":10:1")) },
    ],
    ["is no JSON", { toc: () => "entries" }],
    ["has no entries", { toc: () => ({ version: 1 }) }],
    ["has offsets that go back", { toc: (entries) => ({ entries: entries.toReversed() }) }],
    [
      "has offsets behind the data",
      { toc: (entries) => ({ entries: entries.map((it) => ({ ...it, offset: 2 ** 40 })) }) },
    ],
    [
      "has negative offsets",
      { toc: (entries) => ({ entries: entries.map((it) => ({ ...it, offset: -1 })) }) },
    ],
    [
      "has offsets that are text",
      { toc: (entries) => ({ entries: entries.map((it) => ({ ...it, offset: "7" })) }) },
    ],
    [
      "has no digests",
      {
        toc: (entries) => ({ entries: entries.map(({ digest: _, chunkDigest: __, ...it }) => it) }),
      },
    ],
  ])("%s, and the layer comes as any other", async (_, lie) => {
    await using world = await openWorld();
    await pull(world, "1", makeZstdChunked(files()));
    const layer = makeZstdChunked({ ...files(), new: noise("new", 1000) }, lie);
    const { transferred, events } = await pull(world, "2", layer);
    expect(transferred.reused).toBeUndefined();
    expect(events.map(({ type }) => type)).toContain("blob-reuse-failed");
    expect(world.registry.fetched).toContain(layer.descriptor.digest);
    await expectSound(world, layer);
    // Nor is it of any use for the next.
    const next = makeZstdChunked({ ...files(), newer: noise("newer", 1000) });
    await pull(world, "3", next);
    await expectSound(world, next);
  });
});

describe("a layer that is put together", () => {
  test("goes on where it was stopped, and gets no range twice", async () => {
    await using world = await openWorld();
    const layer = await pushVersions(world, makeZstdChunked);
    const { digest, size } = layer.descriptor;
    const stop = new AbortController();
    const { registry } = world;
    const { signal } = stop;
    const onHalf = (event: PullProgress): void => {
      if (event.type === "blob-progress" && event.received > 0.6 * size) stop.abort("stopped");
    };
    const stopped = world.images.pull(`${APP}:2`, { signal, onProgress: onHalf });
    await expect(stopped).rejects.toBe("stopped");
    expect(registry.ranges.splice(0).length).toBeGreaterThan(1);
    // A kill leaves any part of it; here it ends in what was copied.
    const half = Math.floor(size / 2);
    const [name = ""] = await readdir(join(world.store.root, "ingest"));
    await truncate(join(world.store.root, "ingest", name.replace(/\.lock$/, ""), "data"), half);
    const events: PullProgress[] = [];
    const onProgress = (event: PullProgress): void => void events.push(event);
    await world.images.pull(`${APP}:2`, { onProgress });
    expect(events).toContainEqual(
      expect.objectContaining({ type: "blob-start", digest, received: half }),
    );
    expect(registry.ranges.every(({ end }) => end > half)).toBe(true);
    expect(registry.fetched).not.toContain(digest);
    await expectSound(world, layer);
  });

  test("comes on as any other where a range fails", async () => {
    await using world = await openWorld();
    const layer = await pushVersions(world, makeZstdChunked);
    const { digest, size } = layer.descriptor;
    world.registry.beforeRange = async (_, offset) => {
      if (offset > 0.5 * size && offset < 0.9 * size) throw new Error("no parts today");
    };
    const events: PullProgress[] = [];
    const onProgress = (event: PullProgress): void => void events.push(event);
    const { transferred } = await world.images.pull(`${APP}:2`, { onProgress });
    expect(events.map(({ type }) => type)).toContain("blob-reuse-failed");
    expect(world.registry.fetched.filter((one) => one === digest)).toHaveLength(1);
    // What had come until then is kept.
    expect(events.map(({ type }) => type)).not.toContain("blob-restart");
    expect(transferred.reused).toBeGreaterThan(0);
    await expectSound(world, layer);
  });

  test("is begun anew where what it is copied from is damaged", async () => {
    await using world = await openWorld();
    const old = makeZstdChunked(files());
    await pull(world, "1", old);
    const path = world.store.blobs.path(old.descriptor.digest);
    await chmod(path, 0o600);
    await writeFile(
      path,
      Buffer.concat([old.bytes.subarray(0, 5000), Buffer.alloc(9), old.bytes.subarray(5009)]),
    );
    const layer = makeZstdChunked({ ...files(), new: noise("new", 1000) });
    const { events } = await pull(world, "2", layer);
    expect(events.map(({ type }) => type)).toContain("blob-restart");
    expect(await world.store.blobs.stat(layer.descriptor.digest)).toBeDefined();
    const deep = await world.store.check({ deep: true });
    expect(deep.damages.map(({ id }) => id)).not.toContain(layer.descriptor.digest);
  });

  test.each<[string, (world: TestWorld) => Promise<ChunkedLayer>]>([
    ["there is nothing here to copy from", async () => makeZstdChunked(files())],
    [
      "it is small",
      async (world) => {
        const { one = Buffer.alloc(0) } = files();
        await pull(world, "1", makeZstdChunked({ one }));
        return makeZstdChunked({ one, new: noise("new", 1000) });
      },
    ],
  ])("is not, and no range is asked for, where %s", async (_, prepare) => {
    await using world = await openWorld();
    const layer = await prepare(world);
    world.registry.ranges.splice(0);
    const { transferred } = await pull(world, "2", layer);
    expect(transferred.reused).toBeUndefined();
    expect(world.registry.ranges).toEqual([]);
    await expectSound(world, layer);
  });
});

type Maker = (files: Files, options?: ChunkedOptions) => ChunkedLayer;

function files(): Files {
  const names = ["one", "two", "three", "four", "five"];
  return Object.fromEntries(names.map((name) => [name, noise(name, FILE_BYTES)]));
}

/** Pulls the first, and pushes the second: with one file more, and one that is another. */
async function pushVersions(world: TestWorld, make: Maker): Promise<ChunkedLayer> {
  const old = files();
  await pull(world, "1", make(old));
  const { one, two, ...rest } = old;
  const layer = make({
    one: one as Buffer,
    new: noise("new", 3000),
    two: two as Buffer,
    ...rest,
    four: noise("not four", FILE_BYTES + 100),
  });
  await world.registry.push(`${APP}:2`, imageOf(layer));
  world.registry.ranges.splice(0);
  world.registry.fetched.splice(0);
  return layer;
}

async function pull(world: TestWorld, tag: string, layer: ChunkedLayer) {
  const events: PullProgress[] = [];
  await world.registry.push(`${APP}:${tag}`, imageOf(layer));
  const pulled = await world.images.pull(`${APP}:${tag}`, {
    onProgress: (event) => events.push(event),
  });
  return { ...pulled, events };
}

/** The blob is here and is the one, and so is what is unpacked of it. */
async function expectSound(world: TestWorld, { descriptor, bytes }: ChunkedLayer): Promise<void> {
  const stored = await Array.fromAsync(world.store.blobs.openContent(descriptor));
  expect(digestOf(Buffer.concat(stored))).toBe(digestOf(bytes));
  expect((await world.store.check({ deep: true })).damages).toEqual([]);
}

/** What the table of contents has of the second file, from that of the old version. */
function withTwo(entries: readonly Entry[], make: Maker): readonly Entry[] {
  let old: readonly Entry[] = [];
  make(files(), { toc: (found) => void (old = found) });
  const truth = ({ digest, chunkDigest }: Entry): Entry => ({
    ...(digest !== undefined && { digest }),
    ...(chunkDigest !== undefined && { chunkDigest }),
  });
  return entries.map((entry, at) =>
    entry["name"] === "two" ? { ...entry, ...truth(old[at] ?? {}) } : entry,
  );
}

function alter(
  annotations: Record<string, string>,
  name: RegExp,
  value: string | ((was: string) => string),
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).map(([key, was]) => [
      key,
      name.test(key) ? (typeof value === "string" ? value : value(was)) : was,
    ]),
  );
}
