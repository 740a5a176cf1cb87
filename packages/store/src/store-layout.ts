/**
 * Where everything lies.
 *
 * @module
 */
import { join } from "node:path";

import { algorithmOf, type Digest, encodedOf } from "@stowage/content";

import type { LayerID } from "./layer-id.ts";

/** The directories of a store. */
export interface StoreLayout {
  readonly root: string;
  readonly runRoot: string;
  readonly blobs: string;
  readonly ingest: string;
  readonly layers: string;
  readonly images: string;
  readonly names: string;
  readonly containers: string;
  readonly leases: string;
  readonly marks: string;
  readonly staging: string;
  readonly trash: string;
  readonly locks: string;
  readonly runMounts: string;
  readonly runContainers: string;
  readonly runLocks: string;
}

/** The locks of a store, in the order in which they are to be taken. */
export type LockName = "store" | "exports" | "gc" | "images" | "names" | "index" | "containers";

/** Beside the layers: short names for those that are exported. */
export const LINKS_DIRECTORY = "l";

export function storeLayout(root: string, runRoot: string): StoreLayout {
  return {
    root,
    runRoot,
    blobs: join(root, "blobs"),
    ingest: join(root, "ingest"),
    layers: join(root, "layers"),
    images: join(root, "images"),
    names: join(root, "names"),
    containers: join(root, "containers"),
    leases: join(root, "leases"),
    marks: join(root, "marks"),
    staging: join(root, "staging"),
    trash: join(root, "trash"),
    locks: join(root, "locks"),
    runMounts: join(runRoot, "mounts"),
    runContainers: join(runRoot, "containers"),
    runLocks: join(runRoot, "locks"),
  };
}

export function lockPath(layout: StoreLayout, name: LockName): string {
  return join(layout.locks, `${name}.lock`);
}

export function layerPath(layout: StoreLayout, id: LayerID): string {
  return join(layout.layers, id);
}

export function diffPath(layout: StoreLayout, id: LayerID): string {
  return join(layout.layers, id, "diff");
}

/** The directory of an image; its ID has to be a SHA-256 digest. */
export function imagePath(layout: StoreLayout, id: Digest): string {
  return join(layout.images, encodedOf(id));
}

export function containerPath(layout: StoreLayout, id: string): string {
  return join(layout.containers, id);
}

/** The file of a blob, as an OCI image layout has it. */
export function blobPath(layout: StoreLayout, digest: Digest): string {
  return join(layout.blobs, algorithmOf(digest), encodedOf(digest));
}
