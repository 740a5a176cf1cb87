import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { type ContentProvider, digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import {
  copyImage,
  createRegistryClient,
  layoutFolderDestination,
  openLayoutFolder,
  registryDestination,
  registrySource,
  type RegistryEvent,
} from "@stowage/registry";
import {
  buildImage,
  type CuttingProxy,
  hasPeer,
  startCuttingProxy,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const MIB = 1024 * 1024;
const BLOB = randomBytes(32 * MIB);
const LAYER = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(BLOB), size: BLOB.byteLength };
const hasPeers = hasPeer("docker-registry") && hasPeer("nginx");

describe.skipIf(!hasPeers)("behind an nginx that cuts connections", () => {
  test("R18 a blob is pulled whole, and goes on where it was cut", async () => {
    await using world = await startWorld();
    const { proxy, repository, events } = world;
    await repository.pushBlob(LAYER, cutAt(proxy, []));
    const chunks: Uint8Array[] = [];
    let received = 0;
    const cuts = [3 * MIB, 12 * MIB];
    for await (const chunk of repository.openContent(LAYER)) {
      chunks.push(chunk);
      received += chunk.byteLength;
      if (received < (cuts[0] ?? Infinity)) continue;
      cuts.shift();
      await proxy.cut();
    }
    expect(Buffer.concat(chunks).equals(BLOB)).toBe(true);
    expect(events.filter(({ type }) => type === "resume")).toHaveLength(2);
  });

  test("R17 a blob is pushed whole, though docker-registry wants it anew", async () => {
    await using world = await startWorld();
    const { proxy, repository, events } = world;
    expect(await repository.pushBlob(LAYER, cutAt(proxy, [8 * MIB]))).toBe("uploaded");
    expect(await repository.hasContent(LAYER)).toBe(true);
    // It gives an upload up whose chunk has broken.
    expect(events).toMatchObject([{ type: "upload-resume", offset: 0 }]);
  });

  test("R17 an image is copied there and back while connections are cut again and again", async () => {
    await using world = await startWorld();
    const { proxy, repository, path } = world;
    const image = buildImage({
      layers: [6, 4, 2].map((size) => ({ tar: randomBytes(size * MIB), compression: "none" })),
    });
    await writeOciLayout(join(path, "from"), { it: image });
    const tag = parseTag("it");
    await using source = await openLayoutFolder(join(path, "from"), "it");
    await using cuts = cutOnProgress(proxy);
    await copyImage(source, registryDestination(repository, tag), cuts);
    const to = layoutFolderDestination(join(path, "to"), "it");
    await copyImage(registrySource(repository, tag), to, cuts);
    expect(cuts.count()).toBeGreaterThanOrEqual(2);
    for (const [digest, { bytes }] of image.blobs) {
      const copied = await readFile(join(path, "to/blobs/sha256", digest.slice(7)));
      expect(copied.equals(bytes)).toBe(true);
    }
  });
});

async function startWorld() {
  const folder = await tempDir();
  const registry = await startDockerRegistry();
  const proxy = await startCuttingProxy(registry.host);
  const events: RegistryEvent[] = [];
  const client = createRegistryClient({
    plainHttp: true,
    retryDelay: 10,
    // A cut is one for every blob that is on its way, and docker-registry has them begin anew.
    attempts: 10,
    onEvent: (event) => events.push(event),
  });
  return {
    path: folder.path,
    proxy,
    events,
    repository: client.repository(parseReference(`${proxy.host}/team/app`).repository),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Delivers the blob, and has the connection cut when it has come so far, each place once. */
function cutAt(proxy: CuttingProxy, places: number[]): ContentProvider {
  return {
    openContent: async function* (_, { offset = 0 } = {}) {
      for (let at = offset; at < BLOB.length; at += 256 * 1024) {
        yield BLOB.subarray(at, at + 256 * 1024);
        if (at < (places[0] ?? Infinity)) continue;
        places.shift();
        await proxy.cut();
      }
    },
  };
}

/** Cuts whenever another third of a blob has gone by; one cut at a time. */
function cutOnProgress(proxy: CuttingProxy) {
  let count = 0;
  let cutting: Promise<void> | undefined;
  const seen = new Set<string>();
  return {
    count: () => count,
    onProgress(event: { readonly type: string; digest?: string; written?: number; size?: number }) {
      const { digest, written = 0, size = 0 } = event;
      const third = Math.floor((3 * written) / size);
      if (event.type !== "blob-progress" || third === 0 || third === 3) return;
      if (cutting !== undefined || seen.has(`${digest} ${third}`)) return;
      seen.add(`${digest} ${third}`);
      count += 1;
      cutting = proxy.cut().finally(() => (cutting = undefined));
    },
    [Symbol.asyncDispose]: async () => await cutting,
  };
}
