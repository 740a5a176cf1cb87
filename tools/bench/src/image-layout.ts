/**
 * An OCI layout with one image, under the name `it`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Descriptor, hostPlatform, MEDIA_TYPE, parseDigest } from "@stowage/content";

/** What an image is made of. */
export interface ImageFacts {
  readonly layers: number;
  readonly files: number;
  /** Of all layers, as archives and packed. */
  readonly bytes: number;
  readonly blobBytes: number;
}

/** A layer whose blob lies in the layout. */
export interface PackedLayer {
  readonly blob: Descriptor;
  readonly diffID: string;
  /** Of the archive. */
  readonly bytes: number;
  readonly files: number;
}

/** The folder of a blob of a layout is its digest's, this the one for all of them. */
export async function makeLayout(layout: string): Promise<void> {
  await mkdir(join(layout, "blobs", "sha256"), { recursive: true });
}

/** Writes config, manifest and index over layers that are there, the lowest first. */
export async function finishLayout(
  layout: string,
  layers: readonly PackedLayer[],
): Promise<ImageFacts> {
  const config = await addDocument(layout, MEDIA_TYPE.imageConfig, {
    ...hostPlatform(),
    config: { Cmd: ["/bin/true"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffID }) => diffID) },
  });
  const mediaType = MEDIA_TYPE.imageManifest;
  const blobs = layers.map(({ blob }) => blob);
  const document = { schemaVersion: 2, mediaType, config, layers: blobs };
  const manifest = await addDocument(layout, mediaType, document);
  const annotations = { "org.opencontainers.image.ref.name": "it" };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  await writeFile(join(layout, "index.json"), JSON.stringify(index));
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const total = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0);
  return {
    layers: layers.length,
    files: total(layers.map(({ files }) => files)),
    bytes: total(layers.map(({ bytes }) => bytes)),
    blobBytes: total(blobs.map(({ size }) => size)),
  };
}

async function addDocument(layout: string, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(layout, "blobs", "sha256", hex), bytes);
  return { mediaType, digest: parseDigest(`sha256:${hex}`), size: bytes.length };
}
