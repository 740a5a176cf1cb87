import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { digestOf } from "@stowage/content";
import type { PullProgress } from "@stowage/runtime-shim";
import {
  noise,
  pushChunkedImage,
  snapshotTree,
  startCountingProxy,
  startDockerRegistry,
  type TarEntry,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { isInstalled } from "./support/private-mounts.ts";
import { openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";

const PEERS = ["docker-registry", "skopeo"].filter((name) => !isInstalled(name));
const WHY_NOT = PEERS.length === 0 ? "" : ` (needs ${PEERS.join(", ")})`;
const FILES = 40;
const FILE_BYTES = 50_000;

describe.skipIf(PEERS.length > 0)(`an image that skopeo pushed as zstd:chunked${WHY_NOT}`, () => {
  test("row 43: in its second version comes with what is new in it alone, and is the same", async () => {
    await using registry = await startDockerRegistry();
    await pushChunkedImage(`${registry.host}/team/app:1`, version("1"));
    await pushChunkedImage(`${registry.host}/team/app:2`, version("2"));
    await using proxy = await startCountingProxy({ target: registry.host });
    const name = `${proxy.host}/team/app`;
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(`${name}:1`);
    const before = proxy.bytes;
    expect(before).toBeGreaterThan(FILES * FILE_BYTES);
    const events: PullProgress[] = [];
    const onProgress = (event: PullProgress): void => void events.push(event);
    const { transferred } = await world.runtime.images.pull(`${name}:2`, { onProgress });
    const sent = proxy.bytes - before;
    // One file has changed, one is new, and the table of contents has to come.
    expect(sent).toBeLessThan(2 * FILE_BYTES + 40_000);
    expect(sent).toBeGreaterThan(transferred.bytes);
    expect(transferred.reused).toBeGreaterThan((FILES - 1) * FILE_BYTES);
    expect(events).toContainEqual(
      expect.objectContaining({ type: "blob-reuse", reused: transferred.reused }),
    );
    expect(events).toContainEqual(
      expect.objectContaining({
        type: "blob-done",
        reused: transferred.reused,
        source: proxy.host,
      }),
    );
    expect(events.map(({ type }) => type)).not.toContain("blob-reuse-failed");
    await using other = await openRuntimeWorld();
    const whole = await other.runtime.images.pull(`${name}:2`);
    expect(whole.transferred.reused).toBeUndefined();
    expect(await layerOf(world, `${name}:2`)).toEqual(await layerOf(other, `${name}:2`));
    expect((await world.runtime.images.check({ deep: true })).damages).toEqual([]);
  });

  test("row 43: whose files all have other times comes with little more than their headers", async () => {
    await using registry = await startDockerRegistry();
    const name = `${registry.host}/team/app`;
    const small = Array.from({ length: 200 }, (_, at) => ({
      name: `file-${at}`,
      content: noise(`${at}`, 4000),
    }));
    await pushChunkedImage(`${name}:1`, small);
    await pushChunkedImage(
      `${name}:2`,
      small.map((entry) => ({ ...entry, mtime: 1 })),
    );
    await using proxy = await startCountingProxy({ target: registry.host });
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(`${proxy.host}/team/app:1`);
    const before = proxy.bytes;
    const { transferred } = await world.runtime.images.pull(`${proxy.host}/team/app:2`);
    expect(transferred.reused).toBeGreaterThan(200 * 4000);
    expect(proxy.bytes - before).toBeLessThan(200 * 600);
    expect((await world.runtime.images.check({ deep: true })).damages).toEqual([]);
  });
});

function version(tag: string): readonly TarEntry[] {
  const entries: TarEntry[] = [{ name: "opt/", type: "directory" }];
  for (let index = 0; index < FILES; index += 1) {
    const seed = index === 17 ? `${tag} ${index}` : `${index}`;
    entries.push({ name: `opt/file-${index}`, content: noise(seed, FILE_BYTES) });
  }
  if (tag === "2") entries.splice(9, 0, { name: "opt/new", content: noise("new", FILE_BYTES) });
  return entries;
}

/** The blob and the tree of its layer. */
async function layerOf({ runtime, path }: RuntimeWorld, image: string) {
  const { id } = await runtime.images.requireImage(image);
  const [layer] = (await runtime.store.images.get(id)).layers;
  if (layer === undefined) throw new Error(`${image} has no layer`);
  const { blob } = (await runtime.store.layers.find(layer)) ?? {};
  return {
    blob: digestOf(
      await readFile(join(path, "root/blobs", (blob?.digest ?? "").replace(":", "/"))),
    ),
    tree: snapshotTree(runtime.store.layers.diffPath(layer)),
  };
}
