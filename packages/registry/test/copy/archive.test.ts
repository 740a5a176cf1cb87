import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import {
  type ByteSource,
  type ContentProvider,
  type Descriptor,
  digestOf,
  MEDIA_TYPE,
} from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import {
  archiveDestination,
  copyImage,
  type CopySource,
  openArchive,
  openLayoutFolder,
} from "@stowage/registry";
import { buildImage, createTar, hasPeer, tempDir, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const IMAGE = buildImage({ layers: [{ entries: [{ name: "hello", content: "from us" }] }] });
const OTHER = buildImage({ layers: [{ entries: [{ name: "hello", content: "another" }] }] });

describe("docker-archive:", () => {
  const names: readonly (readonly [stored: string, asked: string])[] = [
    ["docker.io/library/app:1", "app:1"],
    ["docker.io/library/app:1", "docker.io/library/app:1"],
    ["app:1", "docker.io/library/app:1"],
    ["app:latest", "app"],
    ["localhost:5000/team/app:1", "localhost:5000/team/app:1"],
  ];
  test.for(names)("what is stored as %s is found as %s", async ([stored, asked]) => {
    await using folder = await tempDir();
    const path = join(folder.path, "it.tar");
    await pack(folder.path, path, stored);
    await using found = await openArchive("docker-archive", path, asked);
    expect((await found.fetchRoot()).descriptor.digest).toBe(IMAGE.descriptor.digest);
  });

  test.for(["app:2", "other:1", "localhost/app:1", "1"])("and not as %s", async (asked) => {
    await using folder = await tempDir();
    const path = join(folder.path, "it.tar");
    await pack(folder.path, path, "docker.io/library/app:1");
    await using source = await openArchive("docker-archive", path, asked);
    await expect(source.fetchRoot()).rejects.toMatchObject({ code: "ERR_REGISTRY_NOT_FOUND" });
  });

  test("the tags of a layout are no names of Docker's", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "it.tar");
    await pack(folder.path, path, "app:latest");
    await using source = await openArchive("oci-archive", path, "app");
    await expect(source.fetchRoot()).rejects.toMatchObject({ code: "ERR_REGISTRY_NOT_FOUND" });
  });

  test.skipIf(!hasPeer("skopeo"))(
    "of two images that skopeo stored, each has its name",
    async () => {
      await using folder = await tempDir();
      const layout = join(folder.path, "layout");
      await writeOciLayout(layout, { one: IMAGE, two: OTHER });
      const path = join(folder.path, "it.tar");
      const there = `docker-archive:${path}:docker.io/library/app:1`;
      await run("skopeo", ["--insecure-policy", "copy", `oci:${layout}:one`, there]);
      await using source = await openArchive("docker-archive", path, "app:1");
      const { document } = await source.fetchRoot();
      const config = document.kind === "manifest" ? document.manifest.config.digest : undefined;
      expect([...IMAGE.blobs.keys()]).toContain(config);
    },
  );
});

describe("an archive", () => {
  test.for([
    ["is no tar", randomBytes(4096), "oci-archive"],
    ["is empty", Buffer.alloc(0), "oci-archive"],
    ["is gzip'd", Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(1024)]), "docker-archive"],
    [
      "ends within a file",
      createTar([{ name: "index.json", content: "x".repeat(2000) }]).subarray(0, 1024),
      "oci-archive",
    ],
    [
      "has an index.json that is none",
      createTar([{ name: "index.json", content: "[]" }]),
      "oci-archive",
    ],
    [
      "has a manifest.json that is none",
      createTar([{ name: "manifest.json", content: "[{}]" }]),
      "docker-archive",
    ],
    [
      "lacks a layer",
      createTar([{ name: "manifest.json", content: '[{"Config":"c","Layers":[]}]' }]),
      "docker-archive",
    ],
    [
      "has links in a circle",
      createTar([{ name: "index.json", type: "symlink", linkName: "index.json" }]),
      "oci-archive",
    ],
  ] as const)("that %s is refused by name", async ([, bytes, kind]) => {
    await using folder = await tempDir();
    const path = join(folder.path, "it.tar");
    await writeFile(path, bytes);
    await expect(openArchive(kind, path)).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_LAYOUT",
    });
  });

  test("that docker saved with links to equal layers is read", async () => {
    await using folder = await tempDir();
    const layer = createTar([{ name: "f", content: "x" }]);
    const config = JSON.stringify({
      architecture: "amd64",
      os: "linux",
      rootfs: { type: "layers", diff_ids: [digestOf(layer), digestOf(layer)] },
    });
    const manifest = [
      { Config: "c.json", RepoTags: ["a:1", "b:2"], Layers: ["1/layer.tar", "2/layer.tar"] },
    ];
    const path = join(folder.path, "it.tar");
    await writeFile(
      path,
      createTar([
        { name: "1/layer.tar", content: layer },
        { name: "2/layer.tar", type: "symlink", linkName: "../1/layer.tar" },
        { name: "c.json", content: config },
        { name: "manifest.json", content: JSON.stringify(manifest) },
      ]),
    );
    await using source = await openArchive("docker-archive", path, "b:2");
    const { document } = await source.fetchRoot();
    if (document.kind !== "manifest") throw new Error("an index");
    expect(document.manifest.config.digest).toBe(digestOf(Buffer.from(config)));
    expect(document.manifest.layers.map(({ digest }) => digest)).toEqual([
      digestOf(layer),
      digestOf(layer),
    ]);
    await using other = await openArchive("docker-archive", path, "c:3");
    await expect(other.fetchRoot()).rejects.toMatchObject({ code: "ERR_REGISTRY_NOT_FOUND" });
  });
});

test("a blob that came altered and then whole is in the archive", async () => {
  await using folder = await tempDir();
  const layout = join(folder.path, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  await using whole = await openLayoutFolder(layout, "it");
  const source: CopySource = {
    ...whole,
    repository: parseRepository("registry.example.com/app"),
    openContent: alteredOnce(whole),
  };
  const path = join(folder.path, "it.tar");
  {
    await using destination = archiveDestination("oci-archive", path);
    await copyImage(source, destination);
  }
  await using read = await openArchive("oci-archive", path);
  await using destination = archiveDestination("oci-archive", join(folder.path, "again.tar"));
  expect(await copyImage(read, destination)).toMatchObject({ blobs: { uploaded: 2 } });
});

function alteredOnce(whole: ContentProvider): ContentProvider["openContent"] {
  let isAltered = false;
  return (descriptor: Descriptor, options) => {
    const bytes = whole.openContent(descriptor, options);
    if (isAltered || descriptor.mediaType !== MEDIA_TYPE.layerGzip) return bytes;
    isAltered = true;
    return inverted(bytes);
  };
}

async function* inverted(source: ByteSource): ByteSource {
  for await (const chunk of source) yield chunk.map((byte) => ~byte);
}

async function pack(folder: string, path: string, name: string): Promise<void> {
  const layout = join(folder, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  await using source = await openLayoutFolder(layout, "it");
  await using destination = archiveDestination("docker-archive", path, name);
  await copyImage(source, destination);
}
