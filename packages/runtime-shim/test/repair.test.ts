import { chmodSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type ContentStore, createMemoryContentStore } from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";
import type { Runtime } from "@stowage/runtime-shim";
import { diffTrees, hasPeer, putImage, snapshotTree } from "@stowage/testkit";
import { expect, test } from "vitest";

import { openRuntimeWorld } from "./support/runtime-world.ts";

/** Where things are in the store of a runtime. */
interface Place {
  readonly diff: string;
  readonly layerRecord: string;
  readonly blob: string;
}

const CASES: readonly {
  readonly name: string;
  readonly harm: (place: Place) => void;
  readonly finds: object;
  readonly isFetched: boolean;
}[] = [
  {
    name: "one flipped bit of a file",
    harm({ diff }) {
      const bytes = readFileSync(join(diff, "bin/tool"));
      bytes[70_000] = (bytes[70_000] ?? 0) ^ 4;
      writeFileSync(join(diff, "bin/tool"), bytes);
    },
    finds: { kind: "layer", fault: "wrong tree", path: "bin/tool", aspect: "content" },
    isFetched: false,
  },
  {
    name: "one truncated file",
    harm: ({ diff }) => truncateSync(join(diff, "bin/tool"), 1),
    finds: { kind: "layer", fault: "wrong tree", path: "bin/tool", aspect: "size" },
    isFetched: false,
  },
  {
    name: "one deleted file",
    harm: ({ diff }) => rmSync(join(diff, "etc/conf")),
    finds: { kind: "layer", fault: "wrong tree", path: "etc/conf", aspect: "missing" },
    isFetched: false,
  },
  {
    name: "one missing blob",
    harm: ({ blob }) => rmSync(blob),
    finds: { kind: "blob", fault: "missing" },
    isFetched: true,
  },
  {
    name: "one flipped bit of a blob",
    harm({ blob }) {
      const bytes = readFileSync(blob);
      bytes[99] = (bytes[99] ?? 0) ^ 1;
      chmodSync(blob, 0o644);
      writeFileSync(blob, bytes);
      chmodSync(blob, 0o444);
    },
    finds: { kind: "blob", fault: "wrong content" },
    isFetched: true,
  },
  {
    name: "one unreadable record",
    harm: ({ layerRecord }) => writeFileSync(layerRecord, "{"),
    finds: { kind: "layer", fault: "unreadable record" },
    isFetched: false,
  },
];

test.skipIf(!hasPeer("getfattr")).each(CASES)(
  "R21: $name is found exactly, and repaired to what a fresh pull has, with only the bytes it takes (if getfattr is installed)",
  async ({ harm, finds, isFetched }) => {
    const sent = { bytes: 0 };
    const content = counting(createMemoryContentStore(), sent);
    const tags = createMemoryTagStore();
    await using server = createRegistryServer({ content, tags });
    const { host } = await server.listen();
    const descriptor = await putImage(content, {
      layers: [
        {
          entries: [
            { name: "bin/tool", mode: 0o4755, content: "tool".repeat(40_000) },
            { name: "etc/conf", uid: 3, gid: 4, content: "conf" },
          ],
        },
        { entries: [{ name: "etc/other", content: "other" }] },
      ],
    });
    await tags.put("ns/app", descriptor, "1");
    const name = `${host}/ns/app:1`;
    await using world = await openRuntimeWorld();
    await using fresh = await openRuntimeWorld();
    await world.runtime.images.pull(name);
    await fresh.runtime.images.pull(name);
    const place = await findPlace(world.runtime);
    harm(place);
    const found = await world.runtime.images.check({ deep: true });
    expect(found.damages).toMatchObject([finds]);
    sent.bytes = 0;
    const { damages } = await world.runtime.images.check({ deep: true, repair: true });
    expect(damages).toMatchObject([{ ...finds, outcome: "repaired" }]);
    const size = readFileSync(place.blob).length;
    expect(sent.bytes).toBe(isFetched ? size : 0);
    const trees = [world, fresh].map(({ runtime }) =>
      snapshotTree(join(runtime.store.root, "layers")),
    );
    const differences = diffTrees(trees[0] ?? [], trees[1] ?? []);
    expect(
      differences.filter((line) => !/^"(?:[0-9a-f]{64})?(?:\/layer.json)?":/.test(line)),
    ).toEqual([]);
    expect((await world.runtime.images.check({ deep: true })).damages).toEqual([]);
  },
);

async function findPlace({ store }: Runtime): Promise<Place> {
  for (const id of readdirSync(join(store.root, "layers"))) {
    const layerRecord = join(store.root, "layers", id, "layer.json");
    const { parent, blob } = JSON.parse(readFileSync(layerRecord, "utf8"));
    if (parent !== undefined) continue;
    return {
      layerRecord,
      diff: join(store.root, "layers", id, "diff"),
      blob: store.blobs.path(blob.digest),
    };
  }
  throw new Error("there is no layer at the bottom");
}

/** Counts what the registry sends of its content, whoever asks. */
function counting(content: ContentStore, sent: { bytes: number }): ContentStore {
  return {
    ...content,
    async *openContent(descriptor, options) {
      for await (const chunk of content.openContent(descriptor, options)) {
        sent.bytes += chunk.byteLength;
        yield chunk;
      }
    },
  };
}
