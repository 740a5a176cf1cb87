import { constants, gzipSync, zstdCompressSync } from "node:zlib";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";

import { LINUX, type TestImage } from "./test-registry.ts";
import { fileHeader } from "./tar.ts";

/** An entry of a table of contents, as it is written. */
export type Entry = Record<string, unknown>;

export interface ChunkedOptions {
  /** By which the frames are told from those of another compressor. */
  readonly level?: number;
  /** Of all files, in seconds since 1970. */
  readonly time?: number;
  /** Changes the table of contents before it is written. */
  readonly toc?: (entries: readonly Entry[]) => unknown;
  /** Changes what the annotations say. */
  readonly annotations?: (true_: Record<string, string>) => Record<string, string>;
}

export interface ChunkedLayer {
  readonly bytes: Buffer;
  readonly tar: Buffer;
  readonly descriptor: Descriptor;
}

export type Files = Readonly<Record<string, Buffer>>;

const CHUNK = 40_000;
const BLOCK = 512;
const END = Buffer.alloc(2 * BLOCK);

/** A layer as containers/storage writes it: a frame for each header, and for each part of a file. */
export function makeZstdChunked(files: Files, options: ChunkedOptions = {}): ChunkedLayer {
  const blob = new Parts((bytes) => zstd(bytes, options.level));
  const entries: Entry[] = [];
  let before: Buffer = Buffer.alloc(0);
  for (const [name, content] of Object.entries(files)) {
    blob.add(before, fileHeader(name, content.length, options.time));
    const chunks = chunksOf(content);
    const places = chunks.map((chunk) => {
      const offset = blob.length;
      blob.add(chunk);
      return { offset, chunkSize: chunk.length, chunkDigest: digestOf(chunk) };
    });
    entries.push(
      ...places.map((place, index) => ({
        ...(index === 0
          ? { ...headerEntry(name, content, options), endOffset: blob.length }
          : { type: "chunk", name, chunkOffset: index * CHUNK }),
        ...(places.length > 1 ? place : { offset: place.offset }),
      })),
    );
    before = fill(content);
  }
  blob.add(before, END);
  const toc = Buffer.from(JSON.stringify(options.toc?.(entries) ?? { version: 1, entries }));
  const packed = zstdCompressSync(toc);
  const offset = blob.length + 8;
  const footer = Buffer.alloc(64);
  for (const [at, value] of [offset, packed.length, toc.length, 1].entries()) {
    footer.writeBigUInt64LE(BigInt(value), at * 8);
  }
  footer.write("GnUlInUx", 56);
  const bytes = Buffer.concat([blob.bytes, skippable(packed), skippable(footer)]);
  const annotations = {
    "io.github.containers.zstd-chunked.manifest-checksum": digestOf(packed),
    "io.github.containers.zstd-chunked.manifest-position": `${offset}:${packed.length}:${toc.length}:1`,
  };
  return finish(bytes, blob, MEDIA_TYPE.layerZstd, annotations, options);
}

/** A layer as stargz-snapshotter writes it: a gzip member for each file, and all up to the next. */
export function makeStargz(files: Files, options: ChunkedOptions = {}): ChunkedLayer {
  const blob = new Parts((bytes) => gzipSync(bytes, { level: options.level ?? 6 }));
  const entries: Entry[] = [];
  let before: Buffer = Buffer.alloc(0);
  for (const [name, content] of Object.entries(files)) {
    blob.add(before, fileHeader(name, content.length, options.time));
    const chunks = chunksOf(content);
    for (const [index, chunk] of chunks.entries()) {
      entries.push({
        ...(index === 0 ? headerEntry(name, content, options) : { type: "chunk", name }),
        offset: blob.length,
        chunkOffset: index * CHUNK,
        chunkSize: chunk.length,
        chunkDigest: digestOf(chunk),
      });
      if (index < chunks.length - 1) blob.add(chunk);
      else before = Buffer.concat([chunk, fill(content)]);
    }
  }
  blob.add(before);
  const toc = Buffer.from(JSON.stringify(options.toc?.(entries) ?? { version: 1, entries }));
  const offset = blob.length;
  const head = fileHeader("stargz.index.json", toc.length);
  blob.add(head, toc, fill(toc), END);
  const hex = offset.toString(16).padStart(16, "0");
  const footer = Buffer.concat([
    Buffer.from("1f8b08040000000000ff1a0053471600", "hex"),
    Buffer.from(`${hex}STARGZ`),
    Buffer.from("010000ffff0000000000000000", "hex"),
  ]);
  const annotations = { "containerd.io/snapshot/stargz/toc.digest": digestOf(toc) };
  const bytes = Buffer.concat([blob.bytes, footer]);
  return finish(bytes, blob, MEDIA_TYPE.layerGzip, annotations, options);
}

/** An image of such layers. */
export function imageOf(...layers: readonly ChunkedLayer[]): TestImage {
  const blobs = new Map(layers.map(({ descriptor, bytes }) => [descriptor.digest, bytes]));
  const config = Buffer.from(
    JSON.stringify({
      ...LINUX,
      rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => digestOf(tar)) },
    }),
  );
  const id = digestOf(config);
  blobs.set(id, config);
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      config: { mediaType: MEDIA_TYPE.imageConfig, digest: id, size: config.length },
      layers: layers.map(({ descriptor }) => descriptor),
    }),
  );
  const mediaType = MEDIA_TYPE.imageManifest;
  return {
    descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length },
    bytes,
    id,
    blobs,
  };
}

/** What is compressed part by part, and what it unpacks to. */
class Parts {
  readonly #compress: (bytes: Buffer) => Buffer;
  bytes: Buffer = Buffer.alloc(0);
  content: Buffer = Buffer.alloc(0);

  constructor(compress: (bytes: Buffer) => Buffer) {
    this.#compress = compress;
  }

  get length(): number {
    return this.bytes.length;
  }

  add(...content: readonly Buffer[]): void {
    const whole = Buffer.concat(content);
    this.content = Buffer.concat([this.content, whole]);
    this.bytes = Buffer.concat([this.bytes, this.#compress(whole)]);
  }
}

function finish(
  bytes: Buffer,
  { content: tar }: Parts,
  mediaType: string,
  honest: Record<string, string>,
  options: ChunkedOptions,
): ChunkedLayer {
  const annotations = options.annotations?.(honest) ?? honest;
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length, annotations };
  return { bytes, tar, descriptor };
}

function headerEntry(name: string, content: Buffer, { time = 1 }: ChunkedOptions): Entry {
  const { length: size } = content;
  return {
    type: "reg",
    name,
    mode: 420,
    size,
    modtime: new Date(time * 1000).toISOString(),
    digest: digestOf(content),
  };
}

function chunksOf(content: Buffer): readonly Buffer[] {
  const count = Math.ceil(content.length / CHUNK);
  return Array.from({ length: count }, (_, at) => content.subarray(at * CHUNK, (at + 1) * CHUNK));
}

function fill(content: Buffer): Buffer {
  return Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
}

function zstd(bytes: Buffer, level = 3): Buffer {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } });
}

function skippable(bytes: Buffer): Buffer {
  const head = Buffer.from("502a4d1800000000", "hex");
  head.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}
