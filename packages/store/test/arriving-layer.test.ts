import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import {
  type ByteSource,
  type ContentProvider,
  type Descriptor,
  digestOf,
  MEDIA_TYPE,
} from "@stowage/content";
import type { StagedLayer } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { rawTar } from "./support/raw-tar.ts";
import { openWorld, type StoreWorld } from "./support/store-world.ts";

// A large blob is hashed by the thread that unpacks it.
describe.for([
  ["small", 200_000],
  ["large", 900_000],
] as const)("a %s layer whose blob is arriving", ([, numbers]) => {
  const BODY = Array.from({ length: numbers }, (_, n) => `${n} `).join("");
  const ARCHIVE = rawTar({ name: "a", body: BODY }, { name: "b", body: "x" });
  const OTHER = rawTar({ name: "a", body: BODY.toUpperCase() }, { name: "b", body: "y" });
  const HALF = ARCHIVE.length >> 1;

  test("is unpacked as its bytes come, and staged once all have", async () => {
    await using world = await openWorld();
    const staged = arrive(world, ARCHIVE, {
      // The rest is not sent before files have been made of the first half.
      async *openContent() {
        yield ARCHIVE.subarray(0, HALF);
        while (!filesBeingMade(world).includes("a")) await setTimeout(5);
        yield ARCHIVE.subarray(HALF);
      },
    });
    await using layer = await staged;
    expect(layer.diffSize).toBe(ARCHIVE.length);
    const { id } = await world.store.layers.commit(layer);
    expect(readdirSync(world.store.layers.diffPath(id)).toSorted()).toEqual(["a", "b"]);
  });

  test("is not staged when its bytes are others in the end, whatever they unpack to", async () => {
    await using world = await openWorld();
    const wrong = arrive(
      world,
      ARCHIVE,
      sourceOf(Buffer.concat([OTHER]).subarray(0, ARCHIVE.length)),
    );
    await expect(wrong).rejects.toMatchObject({ code: "ERR_CONTENT_DIGEST_MISMATCH" });
    const noise = Buffer.from(ARCHIVE.with(0, 0xff).fill(0xff, 100, 400));
    const broken = arrive(world, ARCHIVE, sourceOf(noise));
    await expect(broken).rejects.toMatchObject({ code: "ERR_CONTENT_DIGEST_MISMATCH" });
    expect(stagedTrees(world)).toEqual([]);
  });

  test("is refused for what is in it, and its blob kept", async () => {
    await using world = await openWorld();
    const hostile = rawTar({ name: ".", type: "2", link: "/" }, { name: "z", body: BODY });
    const refused = arrive(world, hostile, sourceOf(hostile));
    await expect(refused).rejects.toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
    expect(await world.store.blobs.stat(digestOf(hostile))).toMatchObject({ size: hostile.length });
    expect(stagedTrees(world)).toEqual([]);
  });

  test("is unpacked anew when what an earlier download left was wrong", async () => {
    await using world = await openWorld();
    const descriptor = descriptorOf(ARCHIVE);
    const failing = world.store.blobs.ingest(descriptor, failingAfter(ARCHIVE.subarray(0, HALF)));
    await expect(failing).rejects.toThrow("cut");
    const [key] = readdirSync(join(world.root, "ingest"), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    writeFileSync(join(world.root, "ingest", key?.name ?? "", "data"), OTHER.subarray(0, HALF));
    await using layer = await arrive(world, ARCHIVE, sourceOf(ARCHIVE));
    expect(layer.diffID).toBe(digestOf(ARCHIVE));
  });

  test("is given up with its signal, and leaves nothing", async () => {
    await using world = await openWorld();
    const controller = new AbortController();
    const reason = new Error("interrupted");
    const { signal } = controller;
    const silent: ContentProvider = {
      async *openContent() {
        yield ARCHIVE.subarray(0, HALF);
        controller.abort(reason);
        yield ARCHIVE.subarray(HALF, HALF + 1);
      },
    };
    await expect(arrive(world, ARCHIVE, silent, signal)).rejects.toBe(reason);
    expect(stagedTrees(world)).toEqual([]);
  });

  test("that is in the store by then is unpacked from there", async () => {
    await using world = await openWorld();
    const descriptor = descriptorOf(ARCHIVE);
    await world.store.blobs.ingest(descriptor, sourceOf(ARCHIVE));
    const arriving = Promise.resolve();
    await using layer = await world.store.layers.stage(descriptor, descriptor.digest, { arriving });
    expect(layer.entries).toBe(2);
  });
});

async function arrive(
  { store }: StoreWorld,
  blob: Buffer,
  provider: ContentProvider,
  signal?: AbortSignal,
): Promise<StagedLayer> {
  const descriptor = descriptorOf(blob);
  const arriving = store.blobs.ingest(descriptor, provider, { signal });
  arriving.catch(() => {});
  return await store.layers.stage(descriptor, descriptor.digest, { arriving, signal });
}

function descriptorOf(bytes: Buffer): Descriptor {
  return { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: bytes.length };
}

function sourceOf(bytes: Buffer): ContentProvider {
  return {
    async *openContent(_, { offset = 0 } = {}): ByteSource {
      for (let at = offset; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
    },
  };
}

function failingAfter(bytes: Buffer): ContentProvider {
  return {
    async *openContent() {
      yield bytes;
      throw new Error("cut");
    },
  };
}

/** What is in the directories of layers that are being unpacked. */
function filesBeingMade(world: StoreWorld): readonly string[] {
  return stagedTrees(world).flatMap((name) =>
    readdirSync(join(world.root, "staging", name, "diff")),
  );
}

function stagedTrees({ root }: StoreWorld): readonly string[] {
  const staging = join(root, "staging");
  return readdirSync(staging).filter((name) => existsSync(join(staging, name, "diff")));
}
