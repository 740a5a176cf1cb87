import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Digest } from "@stowage/content";
import type { RepairSources } from "@stowage/store";
import { expect } from "vitest";

import { makeImage, type StoreWorld, type TestImage } from "./store-world.ts";
import type { RawEntry } from "./raw-tar.ts";
import { snapshotTree } from "./tree-snapshot.ts";

/** A layer with one of each kind of entry. */
export const ENTRIES: readonly RawEntry[] = [
  { name: "bin", type: "5" },
  { name: "bin/tool", mode: 0o755, body: "tool".repeat(500) },
  { name: "etc/conf", uid: 7, gid: 8, body: "conf", pax: [["SCHILY.xattr.user.note", "kept"]] },
  { name: "etc/link", type: "2", link: "conf" },
  { name: "etc/twin", type: "1", link: "etc/conf" },
  { name: "pipe", type: "6" },
];

/** The blob of an image's first layer. */
export const blobOf = (image: TestImage): Digest => image.layers[0]?.blob.digest ?? image.id;
export const blobFile = (world: StoreWorld, image: TestImage): string =>
  world.store.blobs.path(blobOf(image));
export const diffOf = (world: StoreWorld, image: TestImage): string =>
  world.store.layers.diffPath(image.layerIDs[0] as never);
export const blobSize = (image: TestImage): number => image.layers[0]?.blob.size ?? 0;

export function neighbour(): TestImage {
  return makeImage([{ name: "near", body: "n".repeat(2000) }]);
}

export function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path);
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  const mode = statSync(path).mode;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  chmodSync(path, mode);
}

/** A source that counts what it gives. */
export function fetching(image: TestImage): {
  readonly sources: RepairSources;
  readonly bytes: () => number;
} {
  let bytes = 0;
  const sources: RepairSources = {
    async *openBlob({ descriptor, images, repositories }, { offset = 0 }) {
      expect(images).toEqual([image.id]);
      expect(repositories).toEqual(["localhost/test"]);
      const content = image.bytes.get(descriptor.digest)?.subarray(offset) ?? Buffer.alloc(0);
      bytes += content.byteLength;
      yield content;
    },
  };
  return { sources, bytes: () => bytes };
}

/** Name, type, mode, owner and bytes; the time is that of the last arrival. */
export function contentsOf(blobs: string): readonly string[] {
  return Object.entries(snapshotTree(join(blobs, "sha256"))).flatMap(([path, text]) =>
    path === "" ? [] : [`${path} ${text.replace(/mtime \d+/, "")}`],
  );
}

export type Snapshot = Readonly<Record<string, string>>;

/** A record that is written anew has a new time; the directories of layers have none of their own. */
export function withoutRecords(snapshot: Snapshot): Snapshot {
  const kept = Object.entries(snapshot).filter(
    ([path]) => !/^(?:[0-9a-f]{64})?$|layer\.json$/.test(path),
  );
  return Object.fromEntries(kept);
}

export function withoutLocks(snapshot: Snapshot): Snapshot {
  const kept = Object.entries(snapshot).filter(([path]) => !/^(?:locks|leases|staging)/.test(path));
  return Object.fromEntries(kept);
}
