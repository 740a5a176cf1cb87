import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  type UnpackedLayer,
  unpackLayer,
  type UnpackLayerOptions,
} from "../../src/layer/unpack-layer.ts";
import { removeTree } from "../../src/linux/tree.ts";
import { snapshotTree } from "./tree-snapshot.ts";

/** A private directory with an outside world to watch, and layers unpacked beside it. */
export interface LayerBench extends AsyncDisposable {
  readonly directory: string;
  /** A directory that nothing may touch. */
  readonly canary: string;
  unpack(blob: Buffer, options?: Partial<UnpackLayerOptions>): Promise<Unpacked>;
  /** Throws when the canary is not what it was. */
  assertUntouched(): void;
}

/** A layer that has been unpacked. */
export interface Unpacked extends UnpackedLayer {
  readonly diffDir: string;
  readonly tree: Readonly<Record<string, string>>;
}

/** Makes a bench, which goes away with all it holds. */
export function openLayerBench(): LayerBench {
  const directory = mkdtempSync(join(tmpdir(), "stowage-layer-"));
  const canary = join(directory, "canary");
  mkdirSync(join(canary, "etc"), { recursive: true });
  writeFileSync(join(canary, "etc/shadow"), "root:secret");
  writeFileSync(join(canary, "f"), "canary");
  const before = JSON.stringify(snapshotTree(canary, { touches: true }));
  let count = 0;
  return {
    directory,
    canary,
    async unpack(blob, options = {}) {
      count += 1;
      const blobPath = join(directory, `blob-${count}`);
      const diffDir = join(directory, `diff-${count}`);
      writeFileSync(blobPath, blob);
      mkdirSync(diffDir, 0o700);
      const layer = await unpackLayer({ blobPath, diffDir, ...options });
      return { ...layer, diffDir, tree: snapshotTree(diffDir) };
    },
    assertUntouched() {
      const after = JSON.stringify(snapshotTree(canary, { touches: true }));
      if (after !== before) throw new Error(`the canary was touched: ${after}`);
    },
    async [Symbol.asyncDispose]() {
      await removeTree(directory);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
