import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { type Digest, digestOf, encodedOf, MEDIA_TYPE } from "@stowage/content";
import type { PullProgress } from "@stowage/image-service";
import { createTar } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { coded, makeImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";

describe("canPull", () => {
  test("R1 asks the registry with the caller's own settings and writes nothing", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    const mine = { user: "me" };
    await expect(world.images.canPull(`${APP}:1`, { source: mine })).resolves.toBe(true);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
    expect(world.registry.opens.options[0]?.source).toBe(mine);
    expect(await stored(world)).toEqual([]);
    expect(world.judged).toEqual([]);
  });

  test("R1 rejects with the registry's error, and closes what was opened", async () => {
    await using world = await openWorld();
    const denied = world.images.canPull(`${APP}:1`);
    await expect(denied).rejects.toMatchObject({ code: "ERR_TEST_NOT_FOUND" });
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
  });
});

describe("pull", () => {
  test("R2 an image that is whole here is asked for, and nothing of it is transferred", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage({ files: ["a", "b"] }));
    const first = await world.images.pull(`${APP}:1`);
    expect(first.transferred.blobs).toBe(3);
    world.registry.fetched.length = 0;
    const events: PullProgress["type"][] = [];
    const onProgress = (event: PullProgress): void => void events.push(event.type);
    const again = await world.images.pull(`${APP}:1`, { onProgress });
    expect(again).toEqual({ ...first, transferred: { blobs: 0, bytes: 0 } });
    expect(world.registry.fetched).toEqual([]);
    expect(world.registry.asked).toEqual(["1", "1"]);
    // PL-20: one event for each layer that is here.
    expect(events).toEqual(["resolved", "layer-exists", "layer-exists", "stored"]);
  });

  test("R2 who may not pull does not get the image because it is here", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    await world.images.pull(`${APP}:1`);
    world.registry.beforeManifest = async () => {
      throw coded("ERR_TEST_DENIED");
    };
    const denied = world.images.pull(`${APP}:1`);
    await expect(denied).rejects.toMatchObject({ code: "ERR_TEST_DENIED" });
  });

  test("R2 another manifest of the same config brings no blob, and a name", async () => {
    await using world = await openWorld();
    const image = makeImage();
    const twin = makeImage({ manifest: (it) => ({ ...it, annotations: { twin: "yes" } }) });
    await world.registry.push(`${APP}:1`, image);
    await world.registry.push(`${APP}:2`, twin);
    await world.images.pull(`${APP}:1`);
    const second = await world.images.pull(`${APP}:2`);
    expect(second).toMatchObject({ id: image.id, transferred: { blobs: 0 } });
    expect(second.canonical).toBe(`${APP}@${twin.descriptor.digest}`);
  });

  test("R3 repo:tag@digest stores no tag, and on request the tag must still agree", async () => {
    await using world = await openWorld();
    const [old, now] = [makeImage({ files: ["old"] }), makeImage({ files: ["now"] })];
    await world.registry.push(`${APP}:1`, old);
    await world.registry.push(`${APP}:1`, now);
    const text = `${APP}:1@${old.descriptor.digest}`;
    const pulled = await world.images.pull(text);
    expect(pulled.names).toEqual([`${APP}@${old.descriptor.digest}`]);
    const strict = world.images.pull(text, { requireTagMatch: true });
    await expect(strict).rejects.toMatchObject({ code: "ERR_IMAGE_TAG_MISMATCH" });
    const agreeing = `${APP}:1@${now.descriptor.digest}`;
    await world.images.pull(agreeing, { requireTagMatch: true });
  });

  test("R3 a tag may name the index that lists the digest", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.pushIndex(`${APP}:1`, [image], ["linux/amd64"]);
    const text = `${APP}:1@${image.descriptor.digest}`;
    const pulled = await world.images.pull(text, { requireTagMatch: true });
    expect(pulled.canonical).toBe(`${APP}@${image.descriptor.digest}`);
  });

  test("R3 latest stands for no tag, and for nothing else", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:latest`, makeImage());
    await world.registry.push(`${APP}:v9`, makeImage({ files: ["nine"] }));
    expect((await world.images.pull(APP)).name).toBe(`${APP}:latest`);
    expect((await world.images.pull(`${APP}:v9`)).names).toEqual([`${APP}:v9`]);
  });

  test("R4 manifest and index digest both resolve", async () => {
    await using world = await openWorld();
    const image = makeImage();
    const index = await world.registry.pushIndex(`${APP}:1`, [image], ["linux/amd64"]);
    const pulled = await world.images.pull(`${APP}:1`);
    expect(pulled).toMatchObject({
      canonical: `${APP}@${image.descriptor.digest}`,
      indexCanonical: `${APP}@${index}`,
      names: [`${APP}:1`],
    });
    for (const name of [pulled.canonical, `${APP}@${index}`, `${APP}:1`]) {
      expect(await world.images.imageStatus(name)).toMatchObject({
        id: image.id,
        canonical: pulled.canonical,
        indexCanonical: `${APP}@${index}`,
      });
    }
  });

  test("keeps index, manifest, config and layers as they came, M33", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    const index = await world.registry.pushIndex(`${APP}:1`, [image], ["linux/amd64"]);
    await world.images.pull(`${APP}:1`);
    const expected = [index, image.descriptor.digest, ...image.blobs.keys()].map(encodedOf);
    expect(await stored(world)).toEqual(expected.sort());
  });

  test("PL-24 policy comes before config and layers, and its rejection leaves nothing", async () => {
    await using world = await openWorld();
    const image = makeImage();
    const index = await world.registry.pushIndex(`${APP}:1`, [image], ["linux/amd64"]);
    world.judge = async () => {
      expect(world.registry.fetched).toEqual([]);
      throw coded("ERR_POLICY_TEST");
    };
    const pull = world.images.pull(`${APP}:1`);
    await expect(pull).rejects.toMatchObject({ code: "ERR_POLICY_TEST" });
    expect(world.judged).toMatchObject([
      { manifest: { digest: image.descriptor.digest }, index: { digest: index } },
    ]);
    expect(await stored(world)).toEqual([]);
    expect(await world.images.listImages()).toEqual([]);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
  });

  test("R8 a source is closed exactly once on success, failure and cancellation", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
    await expect(world.images.pull(`${APP}:none`)).rejects.toThrow("ERR_TEST_NOT_FOUND");
    expect(world.registry.opens).toMatchObject({ count: 2, closes: 2 });
    await world.registry.push(`${APP}:2`, makeImage({ files: ["other"] }));
    const stop = new AbortController();
    world.registry.beforeChunk = async () => stop.abort(new Error("enough"));
    await expect(world.images.pull(`${APP}:2`, stop)).rejects.toThrow("enough");
    expect(world.registry.opens).toMatchObject({ count: 3, closes: 3 });
  });

  test("R8 a source that cannot be closed hides neither success nor failure", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    const images = world.service({
      source: {
        async open(reference, options) {
          const opened = await world.registry.source.open(reference, options);
          return {
            openContent: (...args) => opened.openContent(...args),
            fetchManifest: (...args) => opened.fetchManifest(...args),
            [Symbol.asyncDispose]: async () => {
              throw new Error("stuck");
            },
          };
        },
      },
    });
    const events: PullProgress[] = [];
    await images.pull(`${APP}:1`, { onProgress: (event) => void events.push(event) });
    expect(events.at(-1)).toMatchObject({ type: "warning" });
    const failing = images.pull(`${APP}:none`);
    await expect(failing).rejects.toMatchObject({ code: "ERR_TEST_NOT_FOUND" });
  });

  test("a directory that hides a link of a lower layer is told, and stops nothing", async () => {
    await using world = await openWorld();
    const archives = [
      createTar([{ name: "bin", type: "symlink", linkName: "usr/bin" }]),
      createTar([{ name: "bin/tool", content: "x" }]),
    ];
    await world.registry.push(`${APP}:1`, makeImage({ archives }));
    const events: PullProgress[] = [];
    await world.images.pull(`${APP}:1`, { onProgress: (event) => void events.push(event) });
    const warnings = events.filter(({ type }) => type === "warning");
    expect(warnings).toEqual([
      { type: "warning", message: expect.stringContaining(`layer ${digestOf(archives[1]!)}: `) },
    ]);
  });

  test("a pull cancelled in the middle leaves nothing to see, and the next one works", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b", "c"] });
    await world.registry.push(`${APP}:1`, image);
    const stop = new AbortController();
    const reason = new Error("changed my mind");
    const last = [...image.blobs.keys()][2];
    world.registry.beforeChunk = async (digest) => {
      if (digest === last) stop.abort(reason);
    };
    await expect(world.images.pull(`${APP}:1`, stop)).rejects.toBe(reason);
    expect(await world.images.listImages()).toEqual([]);
    world.registry.beforeChunk = async () => undefined;
    const pulled = await world.images.pull(`${APP}:1`);
    expect(pulled.id).toBe(image.id);
    for (const { id } of (await world.images.inspect(APP + ":1")).layers) {
      expect(existsSync(world.store.layers.diffPath(id))).toBe(true);
    }
  });

  test("a signal that has fired asks nobody", async () => {
    await using world = await openWorld();
    const reason = new Error("too late");
    const signal = AbortSignal.abort(reason);
    await expect(world.images.pull(`${APP}:1`, { signal })).rejects.toBe(reason);
    await expect(world.images.canPull(`${APP}:1`, { signal })).rejects.toBe(reason);
    await expect(world.images.listImages(undefined, { signal })).rejects.toBe(reason);
    expect(world.registry.opens.count).toBe(0);
  });

  test("images that share layers transfer only what is new", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage({ files: ["base", "one"] }));
    await world.registry.push(`${APP}:2`, makeImage({ files: ["base", "two"] }));
    await world.images.pull(`${APP}:1`);
    expect((await world.images.pull(`${APP}:2`)).transferred.blobs).toBe(2);
  });

  test("an image without layers is an image", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage({ files: [] }));
    await world.images.pull(`${APP}:1`);
    expect(await world.images.inspect(`${APP}:1`)).not.toHaveProperty("topLayer");
  });

  test("R21 a damaged blob and a lost layer are mended by the next pull", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a", "b"] });
    await world.registry.push(`${APP}:1`, image);
    const { id } = await world.images.pull(`${APP}:1`);
    const [top] = (await world.images.inspect(id)).layers.slice(-1);
    await world.store.images.remove(id);
    await world.images.pull(`${APP}:1`);
    const blob = top?.blob.digest as Digest;
    await world.store.blobs.remove(blob);
    expect((await world.images.pull(`${APP}:1`)).transferred.blobs).toBe(1);
    expect(await world.store.blobs.stat(blob)).toBeDefined();
  });

  test("PL-09 the compression of a layer is what its bytes say", async () => {
    await using world = await openWorld();
    const mediaType = MEDIA_TYPE.layerGzip;
    const image = makeImage({
      manifest: (it) => ({ ...it, layers: it.layers.map((l) => ({ ...l, mediaType })) }),
    });
    await world.registry.push(`${APP}:1`, image);
    expect((await world.images.pull(`${APP}:1`)).id).toBe(image.id);
  });

  test("PL-12 V01 the URLs of a layer are ignored", async () => {
    await using world = await openWorld();
    const urls = ["http://169.254.169.254/", "file:///etc/passwd"];
    const image = makeImage({
      manifest: (it) => ({ ...it, layers: it.layers.map((l) => ({ ...l, urls })) }),
    });
    await world.registry.push(`${APP}:1`, image);
    await world.images.pull(`${APP}:1`);
    expect(world.registry.fetched.toSorted()).toEqual([...image.blobs.keys()].toSorted());
  });

  test("PL-13 PL-14 a layer that is here in another compression is not transferred", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage({ files: ["base"] }));
    await world.images.pull(`${APP}:1`);
    const plain = makeImage({ files: ["base", "more"] });
    const [base] = plain.blobs.keys();
    const zipped = gzipSync(plain.blobs.get(base as Digest) as Uint8Array);
    const packed = makeImage({
      files: ["base", "more"],
      manifest: (it) => ({
        ...it,
        layers: it.layers.map((l) =>
          l.digest === base
            ? { mediaType: MEDIA_TYPE.layerGzip, digest: digestOf(zipped), size: zipped.length }
            : l,
        ),
      }),
    });
    const blobs = new Map([...packed.blobs, [digestOf(zipped), new Uint8Array(zipped)] as const]);
    await world.registry.push(`${APP}:2`, { ...packed, blobs });
    world.registry.fetched.length = 0;
    await world.images.pull(`${APP}:2`);
    expect(world.registry.fetched).not.toContain(digestOf(zipped));
    expect(world.registry.fetched).toHaveLength(2);
  });

  test("tells how far each blob and each layer is", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    const events: PullProgress[] = [];
    await world.images.pull(`${APP}:1`, { onProgress: (event) => void events.push(event) });
    const types = events.map(({ type }) => type);
    expect(types[0]).toBe("resolved");
    expect(types.at(-1)).toBe("stored");
    expect(types.filter((type) => type === "blob-start")).toHaveLength(2);
    expect(types.filter((type) => type === "blob-done")).toHaveLength(2);
    expect(types.filter((type) => type === "unpack-done")).toHaveLength(1);
    const layer = [...image.blobs.keys()][0];
    const received = events.flatMap((event) =>
      event.type === "blob-progress" && event.digest === layer ? [event.received] : [],
    );
    expect(received.at(-1)).toBe(image.blobs.get(layer as Digest)?.byteLength);
    expect(received).toEqual(received.toSorted((a, b) => a - b));
  });

  test("a listener that throws fails no pull", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    await world.images.pull(`${APP}:1`, {
      onProgress: () => {
        throw new Error("mine");
      },
    });
  });
});

/** The hex names of all blobs in the store. */
async function stored(world: TestWorld): Promise<string[]> {
  const path = join(world.store.root, "blobs", "sha256");
  return existsSync(path) ? (await readdir(path)).sort() : [];
}
