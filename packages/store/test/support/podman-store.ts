import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { type Digest, digestOf, encodedOf, type JsonValue } from "@stowage/content";

import { createLayerApplier } from "../../src/layer/apply-layer.ts";
import { openLayerFiles } from "../../src/layer/layer-files.ts";
import { DEFAULT_LAYER_LIMITS } from "../../src/layer/layer-limits.ts";
import { createTarReader } from "../../src/layer/tar-reader.ts";
import { bigDataFileName } from "../../src/podman/big-data.ts";
import { TarSplitter } from "../../src/podman/tar-split.ts";

/** A store as podman writes it, with one image of one or more layers. */
export interface MadePodmanStore {
  readonly root: string;
  readonly id: string;
  readonly layers: readonly MadePodmanLayer[];
  /** Changes a list of records. */
  rewrite(
    file: "images" | "layers",
    change: (records: Record<string, JsonValue>[]) => unknown,
  ): void;
}

export interface MadePodmanLayer {
  readonly id: string;
  readonly diffID: Digest;
  readonly archive: Buffer;
  /** Where its files are. */
  readonly tree: string;
  readonly tarSplit: string;
}

/** Makes a store of the driver `overlay` with one image, `localhost/app:1`. */
export function makePodmanStore(root: string, archives: readonly Buffer[]): MadePodmanStore {
  for (const part of ["overlay", "overlay-images", "overlay-layers"]) {
    mkdirSync(join(root, part), { recursive: true });
  }
  for (const lock of ["overlay-images/images.lock", "overlay-layers/layers.lock"]) {
    writeFileSync(join(root, lock), "");
  }
  const layers = archives.map((archive) => makeLayer(root, archive));
  const records = layers.map(({ id, diffID, archive }, at) => ({
    id,
    ...(at > 0 && { parent: layers[at - 1]?.id }),
    created: "2026-01-01T00:00:00Z",
    "diff-digest": diffID,
    "diff-size": archive.length,
  }));
  writeFileSync(join(root, "overlay-layers/layers.json"), JSON.stringify(records));
  const config = Buffer.from(
    JSON.stringify({ rootfs: { type: "layers", diff_ids: layers.map(({ diffID }) => diffID) } }),
  );
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, layers: layers.length }));
  const id = encodedOf(digestOf(config));
  const items = {
    manifest,
    [`manifest-${digestOf(manifest)}`]: manifest,
    [digestOf(config)]: config,
  };
  mkdirSync(join(root, "overlay-images", id));
  for (const [key, bytes] of Object.entries(items)) {
    writeFileSync(join(root, "overlay-images", id, bigDataFileName(key)), bytes);
  }
  const image = {
    id,
    digest: digestOf(manifest),
    names: ["localhost/app:1"],
    layer: layers.at(-1)?.id,
    metadata: "{}",
    "big-data-names": Object.keys(items),
    created: "2026-01-01T00:00:00Z",
  };
  writeFileSync(join(root, "overlay-images/images.json"), JSON.stringify([image]));
  return {
    root,
    id,
    layers,
    rewrite(file, change) {
      const path = join(root, `overlay-${file}/${file}.json`);
      const list = file === "images" ? [{ ...image }] : records.map((record) => ({ ...record }));
      change(list as Record<string, JsonValue>[]);
      writeFileSync(path, JSON.stringify(list));
    },
  };
}

function makeLayer(root: string, archive: Buffer): MadePodmanLayer {
  const diffID = digestOf(archive);
  const id = encodedOf(diffID);
  const tree = join(root, "overlay", id, "diff");
  mkdirSync(tree, { recursive: true });
  {
    using applier = createLayerApplier(tree, DEFAULT_LAYER_LIMITS);
    const reader = createTarReader(applier, DEFAULT_LAYER_LIMITS);
    reader.push(archive);
    reader.finish();
    applier.finish();
  }
  using files = openLayerFiles(tree);
  using splitter = new TarSplitter(files, DEFAULT_LAYER_LIMITS);
  splitter.push(archive);
  splitter.finish();
  const tarSplit = join(root, "overlay-layers", `${id}.tar-split.gz`);
  writeFileSync(tarSplit, gzipSync(splitter.take()));
  return { id, diffID, archive, tree, tarSplit };
}
