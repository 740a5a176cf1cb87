import { randomBytes } from "node:crypto";

import { type Descriptor, digestOf, MEDIA_TYPE } from "@stowage/content";

export interface TestImage {
  readonly blobs: readonly { readonly descriptor: Descriptor; readonly bytes: Uint8Array }[];
  readonly manifest: Uint8Array;
}

/** A manifest with random layers; the registry does not look into them. */
export function makeImage(layerSizes: readonly number[]): TestImage {
  const layers = layerSizes.map((size) => blob(MEDIA_TYPE.layerTar, randomBytes(size)));
  const diffIDs = layers.map(({ descriptor }) => descriptor.digest);
  const config = blob(
    MEDIA_TYPE.imageConfig,
    json({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: diffIDs } }),
  );
  const manifest = json({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  });
  return { blobs: [config, ...layers], manifest };
}

/** Puts blobs and a manifest into a registry that needs no more than these headers. */
export async function push(
  base: string,
  { blobs, manifest }: TestImage,
  tag: string,
  headers: Record<string, string> = {},
  mediaType: string = MEDIA_TYPE.imageManifest,
): Promise<void> {
  for (const { descriptor, bytes } of blobs) {
    const started = await fetch(`${base}/blobs/uploads/`, { method: "POST", headers });
    const location = new URL(started.headers.get("location") ?? "", base);
    location.searchParams.set("digest", descriptor.digest);
    await expectStatus(
      201,
      fetch(location, { method: "PUT", body: new Blob([Buffer.from(bytes)]), headers }),
    );
  }
  const put = {
    method: "PUT",
    body: new Blob([Buffer.from(manifest)]),
    headers: { ...headers, "content-type": mediaType },
  };
  await expectStatus(201, fetch(`${base}/manifests/${tag}`, put));
}

export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function blob(mediaType: string, bytes: Uint8Array) {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.byteLength }, bytes };
}

async function expectStatus(status: number, answer: Promise<Response>): Promise<void> {
  const response = await answer;
  if (response.status !== status) throw new Error(`${response.status} ${await response.text()}`);
}
