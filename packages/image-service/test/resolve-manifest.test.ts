import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";

import { type Digest, digestOf, MEDIA_TYPE } from "@stowage/content";
import type { ImageSource, PullProgress } from "@stowage/image-service";
import { parseTag } from "@stowage/reference";
import { describe, expect, test } from "vitest";

import { type Manifest, makeImage, type TestImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";

describe("what is no image for the store", () => {
  test.for<[string, TestImage, string]>([
    [
      "M11 501 layers",
      makeImage({ files: Array.from({ length: 501 }, () => "x") }),
      "ERR_IMAGE_TOO_LARGE",
    ],
    ["M16 a config of an artifact", retyped("config"), "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE"],
    ["M17 an encrypted layer (PL-11)", retyped("layers"), "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE"],
    ["M21 another system", makeImage({ config: { os: "windows" } }), "ERR_IMAGE_WRONG_OS"],
    ["M23 no diff IDs (IS-075)", makeImage({ diffIDs: [] }), "ERR_IMAGE_LAYERS_MISMATCH"],
    [
      "M23 too many diff IDs",
      makeImage({ diffIDs: [digestOf(Buffer.of(1)), digestOf(Buffer.of(2))] }),
      "ERR_IMAGE_LAYERS_MISMATCH",
    ],
    ["M23 no rootfs", makeImage({ config: { rootfs: null } }), "ERR_CONTENT_INVALID_CONFIG"],
    [
      "M24 a diff ID of another layer",
      makeImage({ diffIDs: [digestOf(Buffer.of(1))] }),
      "ERR_STORE_DIFF_ID_MISMATCH",
    ],
    [
      "a config named by SHA-512",
      makeImage({
        manifest: (it) => ({
          ...it,
          config: { ...it.config, digest: digestOf(Buffer.of(1), "sha512") },
        }),
      }),
      "ERR_IMAGE_UNSUPPORTED_DIGEST",
    ],
    ["M15 more bytes than there is room", resized(2 ** 50), "ERR_IMAGE_NO_SPACE"],
    [
      "M15 bytes that fit on the disk alone, and not with what they unpack to",
      resized(Math.floor(freeBytes() * 0.6)),
      "ERR_IMAGE_NO_SPACE",
    ],
    ["M15 more bytes than can be counted", resized(2 ** 53 - 2), "ERR_IMAGE_TOO_LARGE"],
    ["IS-076 PL-26 a wrong layer size", resized(), "ERR_CONTENT_SIZE_MISMATCH"],
  ])("refuses %s, and lists nothing", async ([, image, code]) => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, image);
    await expect(world.images.pull(`${APP}:1`)).rejects.toMatchObject({ code });
    expect(await world.images.listImages()).toEqual([]);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
  });

  test("M11 too many layers are refused before anything is downloaded", async () => {
    await using world = await openWorld();
    await world.registry.push(
      `${APP}:1`,
      makeImage({ files: Array.from({ length: 501 }, () => "x") }),
    );
    await expect(world.images.pull(`${APP}:1`)).rejects.toMatchObject({ kind: "LimitExceeded" });
    expect(world.registry.fetched).toEqual([]);
    expect(world.judged).toEqual([]);
  });

  test("IS-071 refuses a manifest that is not what the digest says, whoever let it through", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    world.registry.lies.set(image.descriptor.digest, Buffer.from(`${Buffer.from(image.bytes)} `));
    const pull = world.images.pull(`${APP}@${image.descriptor.digest}`);
    await expect(pull).rejects.toMatchObject({ code: "ERR_IMAGE_DIGEST_MISMATCH" });
  });

  test("PL-08 an index in an index is refused", async () => {
    await using world = await openWorld();
    const image = makeImage();
    const inner = await world.registry.pushIndex(`${APP}:inner`, [image], ["linux/amd64"]);
    const bytes = await read(world, inner);
    const entry = { mediaType: MEDIA_TYPE.imageIndex, digest: inner, size: bytes.byteLength };
    await world.registry.pushIndex(
      `${APP}:1`,
      [{ ...image, descriptor: entry, bytes, blobs: new Map() }],
      ["linux/amd64"],
    );
    const pull = world.images.pull(`${APP}:1`);
    await expect(pull).rejects.toMatchObject({ code: "ERR_IMAGE_NESTED_INDEX" });
  });

  test("refuses an ID and a bare digest, which name no repository", async () => {
    await using world = await openWorld();
    for (const text of ["a".repeat(64), `sha256:${"a".repeat(64)}`]) {
      const pull = world.images.pull(text);
      await expect(pull).rejects.toMatchObject({ code: "ERR_IMAGE_INVALID_ARGUMENT" });
    }
    expect(world.registry.opens.count).toBe(0);
  });

  test("M21 another architecture is remarked on, and refused if one was asked for", async () => {
    await using world = await openWorld();
    const arm = { os: "linux", architecture: "arm64" };
    await world.registry.push(`${APP}:1`, makeImage({ platform: arm }));
    const events: PullProgress[] = [];
    await world.images.pull(`${APP}:1`, { onProgress: (event) => void events.push(event) });
    expect(events.some(({ type }) => type === "warning")).toBe(true);
    const asked = world.images.pull(`${APP}:1`, {
      platform: { os: "linux", architecture: "amd64" },
    });
    await expect(asked).rejects.toMatchObject({ code: "ERR_IMAGE_PLATFORM_MISMATCH" });
    await world.images.pull(`${APP}:1`, { platform: arm });
  });

  test("PL-02 Q2 a sha512 reference is held to sha512", async () => {
    await using world = await openWorld();
    const image = makeImage();
    await world.registry.push(`${APP}:1`, image);
    const digest = digestOf(image.bytes, "sha512");
    const images = world.service({ source: renaming(world, digest) });
    const { canonical, name, id } = await images.pull(`${APP}@${digest}`);
    expect({ canonical, name, id }).toEqual({
      canonical: `${APP}@${digest}`,
      name: `${APP}@${digest}`,
      id: image.id,
    });
    expect(await images.imageStatus(`${APP}@${digest}`)).toMatchObject({ id: image.id });
    const wrong = digestOf(Buffer.of(1), "sha512");
    const other = world.service({ source: renaming(world, wrong) }).pull(`${APP}@${wrong}`);
    await expect(other).rejects.toMatchObject({ code: "ERR_IMAGE_DIGEST_MISMATCH" });
  });

  test("PL-04 a config over 4 MiB is not opened", async () => {
    await using world = await openWorld();
    const config = { author: "x".repeat(4 * 1024 * 1024) };
    await world.registry.push(`${APP}:1`, makeImage({ config }));
    await expect(world.images.pull(`${APP}:1`)).rejects.toMatchObject({ kind: "LimitExceeded" });
    expect(world.registry.fetched).toEqual([]);
  });
});

/** The registry of a world, as one that knows its manifest by another digest. */
function renaming(world: TestWorld, digest: Digest): ImageSource {
  return {
    async open(reference, options) {
      const opened = await world.registry.source.open(reference, options);
      return {
        openContent: (...args) => opened.openContent(...args),
        async fetchManifest() {
          const fetched = await opened.fetchManifest(parseTag("1"));
          return { ...fetched, descriptor: { ...fetched.descriptor, digest } };
        },
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      };
    },
  };
}

function retyped(what: "config" | "layers"): TestImage {
  const mediaType = "application/vnd.test.unknown+encrypted";
  return makeImage({
    manifest: (it: Manifest) => ({
      ...it,
      [what]:
        what === "config"
          ? { ...it.config, mediaType }
          : it.layers.map((l) => ({ ...l, mediaType })),
    }),
  });
}

/** What the disk of the test's store has left. */
function freeBytes(): number {
  const { bavail, bsize } = statfsSync(tmpdir());
  return bavail * bsize;
}

function resized(by: number = -1): TestImage {
  return makeImage({
    manifest: (it) => ({
      ...it,
      layers: it.layers.map((l) => ({ ...l, size: by < 0 ? l.size + by : by })),
    }),
  });
}

async function read(world: TestWorld, digest: Digest): Promise<Uint8Array> {
  const source = world.registry.content.openContent({ mediaType: "", digest, size: 0 });
  return Buffer.concat(await Array.fromAsync(source));
}
