import { createCipheriv, createHash } from "node:crypto";

import { type Descriptor, digestOf, hostPlatform, MEDIA_TYPE } from "@stowage/content";

import { createTar } from "./tar-writer.ts";

export interface RandomImageOptions {
  /** Of the registry; plain HTTP. */
  readonly url: string;
  /** The path of the repository. */
  readonly repository: string;
  readonly tag: string;
  /** The sizes of the layers, base first; each is a file of so many bytes that do not compress. */
  readonly layers: readonly number[];
  /** The same seed makes the same bytes. */
  readonly seed: string;
}

/** What was pushed. */
export interface RandomImage {
  readonly manifest: Descriptor;
  /** Bytes of config and layers. */
  readonly size: number;
}

/** Makes an image of random bytes layer by layer, so that it may be large, and pushes it. */
export async function pushRandomImage(options: RandomImageOptions): Promise<RandomImage> {
  const { url, repository, tag, seed } = options;
  const base = `${url}/v2/${repository}`;
  const layers: Descriptor[] = [];
  for (const [index, size] of options.layers.entries()) {
    const content = randomBytes(`${seed} ${index}`, size);
    const tar = createTar([{ name: `layer-${index}`, content }]);
    layers.push(await pushBlob(base, MEDIA_TYPE.layerTar, tar));
  }
  const config = await pushBlob(
    base,
    MEDIA_TYPE.imageConfig,
    Buffer.from(
      JSON.stringify({
        ...hostPlatform(),
        rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
      }),
    ),
  );
  const mediaType = MEDIA_TYPE.imageManifest;
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  await send(`${base}/manifests/${tag}`, "PUT", bytes, mediaType);
  return {
    manifest: { mediaType, digest: digestOf(bytes), size: bytes.length },
    size: layers.reduce((sum, { size }) => sum + size, config.size),
  };
}

async function pushBlob(base: string, mediaType: string, bytes: Buffer): Promise<Descriptor> {
  const digest = digestOf(bytes);
  const begun = await send(`${base}/blobs/uploads/`, "POST", Buffer.alloc(0));
  const target = new URL(begun.headers.get("location") ?? "", base);
  target.searchParams.set("digest", digest);
  await send(target.href, "PUT", bytes, "application/octet-stream");
  return { mediaType, digest, size: bytes.length };
}

async function send(url: string, method: string, body: Buffer, type?: string): Promise<Response> {
  const headers = type === undefined ? {} : { "content-type": type };
  const response = await fetch(url, { method, headers, body: new Uint8Array(body) });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status}`);
  await response.body?.cancel();
  return response;
}

function randomBytes(seed: string, size: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
}
