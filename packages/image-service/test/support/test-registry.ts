import {
  type ByteSource,
  ContentError,
  type ContentStore,
  createMemoryContentStore,
  type Descriptor,
  type Digest,
  digestOf,
  type FetchedManifest,
  isDigest,
  MEDIA_TYPE,
  parseManifest,
  type Platform,
} from "@stowage/content";
import type { ImageSource, OpenedImage, PullOptions } from "@stowage/image-service";
import { formatRepository, type Reference } from "@stowage/reference";

import { createTar } from "./tar.ts";

/** Blobs and the manifest over them, before they are anywhere. */
export interface TestImage {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly id: Digest;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

export interface TestImageOptions {
  /** One file per layer. */
  readonly files?: readonly string[];
  /** Whole layers, above those of `files`. */
  readonly archives?: readonly Uint8Array[];
  readonly config?: object;
  readonly platform?: Platform;
  /** Changes the manifest before it is written. */
  readonly manifest?: (manifest: Manifest) => object;
  readonly diffIDs?: readonly string[];
}

export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly [key: string]: unknown;
}

export interface TestRegistry {
  readonly source: ImageSource;
  readonly content: ContentStore;
  /** Digests of the blobs that were opened, in order. */
  readonly fetched: Digest[];
  /** How many blobs are being read, and were at most. */
  readonly reading: { now: number; most: number };
  /** Targets of the manifests that were asked for, in order. */
  readonly asked: string[];
  readonly opens: { count: number; closes: number; options: PullOptions[] };
  push(name: string, image: TestImage): Promise<void>;
  pushIndex(
    name: string,
    images: readonly TestImage[],
    platforms: readonly string[],
  ): Promise<Digest>;
  /** Runs before each chunk of a blob. */
  beforeChunk: (digest: Digest, signal: AbortSignal | undefined) => Promise<void>;
  /** Runs before each manifest. */
  beforeManifest: (target: string, options: PullOptions) => Promise<void>;
  /** The ranges that were asked for, in order. */
  readonly ranges: { readonly digest: Digest; readonly offset: number; readonly end: number }[];
  /** How many ranges it delivers at once. */
  maxRanges: number;
  /** Runs before each range. */
  beforeRange: (digest: Digest, offset: number) => Promise<void>;
  /** What is sent instead of the stored bytes. */
  readonly lies: Map<Digest, Uint8Array>;
}

export const LINUX: Platform = { os: "linux", architecture: "amd64" };

export function makeImage(options: TestImageOptions = {}): TestImage {
  const { files = ["hello"], platform = LINUX, manifest = (it: Manifest) => it } = options;
  const blobs = new Map<Digest, Uint8Array>();
  const keep = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.byteLength };
  };
  const layers = [
    ...files.map((file) => createTar({ [file]: `content of ${file}` })),
    ...(options.archives ?? []),
  ].map((archive) => keep(archive, MEDIA_TYPE.layerTar));
  const diffIDs = options.diffIDs ?? layers.map(({ digest }) => digest);
  const config = keep(
    json({ ...platform, rootfs: { type: "layers", diff_ids: diffIDs }, ...options.config }),
    MEDIA_TYPE.imageConfig,
  );
  const bytes = json(
    manifest({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers }),
  );
  const descriptor = {
    mediaType: MEDIA_TYPE.imageManifest,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  };
  return { descriptor, bytes, id: config.digest, blobs };
}

export function createTestRegistry(): TestRegistry {
  const content = createMemoryContentStore();
  const types = new Map<Digest, string>();
  const tags = new Map<string, Digest>();
  const put = async (bytes: Uint8Array): Promise<void> => {
    await content.write({ digest: digestOf(bytes), size: bytes.byteLength }, once(bytes));
  };
  const registry: TestRegistry = {
    content,
    fetched: [],
    asked: [],
    reading: { now: 0, most: 0 },
    opens: { count: 0, closes: 0, options: [] },
    lies: new Map(),
    beforeChunk: async () => undefined,
    beforeManifest: async () => undefined,
    ranges: [],
    maxRanges: 1,
    beforeRange: async () => undefined,
    async push(name, image) {
      for (const bytes of image.blobs.values()) await put(bytes);
      await put(image.bytes);
      types.set(image.descriptor.digest, image.descriptor.mediaType);
      tags.set(name, image.descriptor.digest);
    },
    async pushIndex(name, images, platforms) {
      for (const image of images) await registry.push(`${name}-instance`, image);
      const bytes = json({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.imageIndex,
        manifests: images.map(({ descriptor }, index) => {
          const [os, architecture] = (platforms[index] ?? "").split("/");
          return { ...descriptor, platform: { os, architecture } };
        }),
      });
      await put(bytes);
      types.set(digestOf(bytes), MEDIA_TYPE.imageIndex);
      tags.set(name, digestOf(bytes));
      return digestOf(bytes);
    },
    source: {
      async open(reference, options) {
        registry.opens.count += 1;
        registry.opens.options.push(options);
        return openImage(reference, options);
      },
    },
  };

  async function fetchManifest(
    reference: Reference,
    target: string,
    options: PullOptions,
  ): Promise<FetchedManifest> {
    registry.asked.push(target);
    await registry.beforeManifest(target, options);
    const named = `${formatRepository(reference.repository)}:${target}`;
    const digest = isDigest(target) ? target : tags.get(named);
    if (digest === undefined || !types.has(digest)) throw coded("ERR_TEST_NOT_FOUND");
    const stat = await content.stat(digest);
    const stored = content.openContent({ mediaType: "", digest, size: stat?.size ?? 0 });
    const bytes = registry.lies.get(digest) ?? Buffer.concat(await Array.fromAsync(stored));
    return parseManifest(bytes, types.get(digest));
  }

  function openImage(reference: Reference, options: PullOptions): OpenedImage {
    return {
      fetchManifest: (target) => fetchManifest(reference, target, options),
      async *openRanges({ digest, size, mediaType }, ranges, how) {
        if (ranges.length > registry.maxRanges) throw new Error("not so many ranges at once");
        for (const { offset, end } of ranges) {
          registry.ranges.push({ digest, offset, end });
          await registry.beforeRange(digest, offset);
          how?.signal?.throwIfAborted();
          let left = end - offset;
          for await (const bytes of content.openContent({ mediaType, digest, size }, { offset })) {
            for (let at = 0; at < bytes.length && left > 0; at += 16_384) {
              const part = bytes.subarray(at, Math.min(at + 16_384, at + left));
              left -= part.length;
              yield part;
            }
          }
        }
      },
      async *openContent(descriptor, how) {
        registry.fetched.push(descriptor.digest);
        const lie = registry.lies.get(descriptor.digest);
        const whole = lie ? once(lie) : content.openContent(descriptor, how);
        const { reading } = registry;
        reading.now += 1;
        reading.most = Math.max(reading.most, reading.now);
        try {
          yield* inPieces(whole, descriptor.digest, how?.signal);
        } finally {
          reading.now -= 1;
        }
      },
      async [Symbol.asyncDispose]() {
        registry.opens.closes += 1;
      },
    };
  }

  async function* inPieces(
    whole: ByteSource,
    digest: Digest,
    signal: AbortSignal | undefined,
  ): ByteSource {
    for await (const chunk of whole) {
      for (let at = 0; at < chunk.byteLength; at += 512) {
        await registry.beforeChunk(digest, signal);
        signal?.throwIfAborted();
        yield chunk.subarray(at, at + 512);
      }
    }
  }
  return registry;
}

export function coded(code: string): Error {
  return Object.assign(new ContentError("ERR_CONTENT_NOT_FOUND", code), { code });
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}
