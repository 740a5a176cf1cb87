import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Descriptor, type Digest, digestOf, parseManifest } from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import {
  archiveDestination,
  copyImage,
  createRegistryClient,
  layoutFolderDestination,
  openArchive,
  openLayoutFolder,
  registryDestination,
  registrySource,
} from "@stowage/registry";
import {
  buildImage,
  type BuiltImage,
  hasPeer,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const hasPeers = ["docker-registry", "skopeo"].every(hasPeer);
const IT = parseTag("it");
const LAYERS = [
  { entries: [{ name: "theirs", content: "may be had from its maker only" }] },
  { entries: [{ name: "ours", content: "may be had from anybody" }] },
];
const KINDS = [
  ["oci", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"],
  ["docker", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"],
] as const;

describe.skipIf(!hasPeers).each(KINDS)(
  "a layer that only its maker gives (%s)",
  (words, mediaType) => {
    test("is named and not kept, from place to place, and its maker is not asked", async () => {
      await using folder = await tempDir();
      await using maker = await startMaker();
      const { image, foreign } = foreignImage(words, mediaType, maker.urls);
      await using registry = await startDockerRegistry({ layerUrls: "^http://127\\.0\\.0\\.1" });
      await using client = createRegistryClient({ plainHttp: true });
      const at = (name: string): string => join(folder.path, name);
      const place = `docker://${registry.host}/app`;
      const repository = client.repository(parseReference(`${registry.host}/app`).repository);

      await writeOciLayout(at("layout"), { it: image });
      await using layout = await openLayoutFolder(at("layout"), "it");
      const pushed = await copyImage(layout, registryDestination(repository, IT));
      expect(pushed).toMatchObject({ descriptor: image.descriptor, blobs: { uploaded: 2 } });
      expect(await repository.hasContent(foreign)).toBe(false);
      const raw = await skopeo("inspect", "--raw", "--tls-verify=false", `${place}:it`);
      expect(digestOf(raw)).toBe(image.descriptor.digest);

      // skopeo leaves it out of a registry, too.
      const insecure = ["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"];
      await skopeo("copy", ...insecure, `${place}:it`, `${place}/theirs:it`);
      const theirs = client.repository(parseReference(`${registry.host}/app/theirs`).repository);
      const source = registrySource(theirs, IT);
      const back = await copyImage(source, layoutFolderDestination(at("back"), "it"));
      expect(back.descriptor.digest).toBe(image.descriptor.digest);
      expect(await blobsIn(at("back"))).toEqual(keptOf(image, foreign));
      await copyImage(source, archiveDestination("oci-archive", at("it.tar"), "it"));
      await using archive = await openArchive("oci-archive", at("it.tar"), "it");
      const again = await copyImage(archive, layoutFolderDestination(at("again"), "it"));
      expect(again.descriptor.digest).toBe(image.descriptor.digest);
      expect(maker.asked).toEqual([]);

      // A folder of skopeo's has all layers.
      await skopeo("copy", "--src-tls-verify=false", `${place}:it`, `dir:${at("whole")}`);
      expect(maker.asked).toEqual(["/layer"]);
    });

    test("keeps an image out of a Docker archive, which has all layers", async () => {
      await using folder = await tempDir();
      const { image } = foreignImage(words, mediaType, ["http://127.0.0.1:1/layer"]);
      await writeOciLayout(join(folder.path, "layout"), { it: image });
      await using layout = await openLayoutFolder(join(folder.path, "layout"), "it");
      const path = join(folder.path, "it.tar");
      await using archive = archiveDestination("docker-archive", path, "app:1");
      const copying = copyImage(layout, archive);
      await expect(copying).rejects.toMatchObject({ code: "ERR_REGISTRY_INVALID_LAYOUT" });
      await archive[Symbol.asyncDispose]();
      expect(await readdir(folder.path)).toEqual(["layout"]);
    });
  },
);

test.skipIf(!hasPeers)(
  "a layer that only its maker gives is what docker-registry refuses unless it is told to take it, and then nothing is there",
  async () => {
    await using folder = await tempDir();
    await using maker = await startMaker();
    const { image } = foreignImage(...KINDS[0], maker.urls);
    await using registry = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseReference(`${registry.host}/app`).repository);
    await writeOciLayout(join(folder.path, "layout"), { it: image });
    await using layout = await openLayoutFolder(join(folder.path, "layout"), "it");
    const pushing = copyImage(layout, registryDestination(repository, IT));
    const missing = { code: "MANIFEST_BLOB_UNKNOWN" };
    const told = expect.arrayContaining([expect.objectContaining(missing)]);
    await expect(pushing).rejects.toHaveProperty("diagnostics", told);
    await expect(repository.resolve(IT)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
  },
);

interface Maker extends AsyncDisposable {
  readonly urls: readonly string[];
  readonly asked: readonly (string | undefined)[];
}

/** Serves the first layer at an address of its own. */
async function startMaker(): Promise<Maker> {
  const asked: (string | undefined)[] = [];
  const built = buildImage({ layers: LAYERS });
  const [first] = manifestOf(built).layers;
  const bytes = first && built.blobs.get(first.digest)?.bytes;
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end(bytes);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    urls: [`http://127.0.0.1:${port}/layer`],
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** An image whose first layer is not there. */
function foreignImage(
  mediaTypes: "docker" | "oci",
  mediaType: string,
  urls: readonly string[],
): { readonly image: BuiltImage; readonly foreign: Descriptor } {
  const built = buildImage({ layers: LAYERS, mediaTypes });
  const document = JSON.parse(Buffer.from(built.manifest).toString());
  const [first, ...others] = document.layers;
  const foreign = { ...first, mediaType, urls };
  const manifest = Buffer.from(JSON.stringify({ ...document, layers: [foreign, ...others] }));
  const { mediaType: own } = built.descriptor;
  const descriptor = { mediaType: own, digest: digestOf(manifest), size: manifest.length };
  const blobs = new Map(built.blobs);
  blobs.delete(first.digest);
  blobs.delete(built.descriptor.digest);
  blobs.set(descriptor.digest, { mediaType: own, bytes: manifest });
  return { image: { descriptor, manifest, blobs }, foreign };
}

function keptOf({ blobs }: BuiltImage, foreign: Descriptor): readonly Digest[] {
  return [...blobs.keys()].filter((digest) => digest !== foreign.digest).toSorted();
}

async function blobsIn(layout: string): Promise<readonly string[]> {
  const names = await readdir(join(layout, "blobs/sha256"));
  return names.map((name) => `sha256:${name}`).toSorted();
}

function manifestOf({ manifest }: BuiltImage) {
  const { document } = parseManifest(manifest);
  if (document.kind !== "manifest") throw new Error("an index");
  return document.manifest;
}

async function skopeo(...args: readonly string[]): Promise<Buffer> {
  const options = { encoding: "buffer", maxBuffer: 1e8 } as const;
  return (await run("skopeo", ["--insecure-policy", ...args], options)).stdout;
}
