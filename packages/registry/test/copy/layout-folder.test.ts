import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, parseManifest } from "@stowage/content";
import { type CopyDestination, layoutFolderDestination, openLayoutFolder } from "@stowage/registry";
import { buildImage, type BuiltImage, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { indexNames } from "../support/index-names.ts";
import { contentOf, imageFor } from "../support/platform-image.ts";

describe("a layout", () => {
  test("keeps what others wrote into its index, and gives a name to one image only", async () => {
    await using folder = await tempDir();
    const index = { schemaVersion: 2, manifests: [], annotations: { kept: "yes" } };
    await writeFile(join(folder.path, "index.json"), JSON.stringify(index));
    for (const text of ["linux/amd64", "linux/arm64"]) {
      await using destination = layoutFolderDestination(folder.path, "it");
      await put(destination, imageFor(text));
    }
    const read = JSON.parse(await readFile(join(folder.path, "index.json"), "utf8"));
    expect(read).toMatchObject({
      annotations: { kept: "yes" },
      manifests: [{ digest: imageFor("linux/arm64").descriptor.digest }],
    });
    expect(read.manifests).toHaveLength(1);
  });

  test("takes images from many writers at once", async () => {
    await using folder = await tempDir();
    const names = Array.from({ length: 12 }, (_, at) => `n${at}`);
    await Promise.all(
      names.map(async (name) => {
        await using destination = layoutFolderDestination(folder.path, name);
        await put(destination, imageFor(`linux/${name}`));
      }),
    );
    expect((await indexNames(folder.path)).toSorted()).toEqual(names.toSorted());
  });

  test("whose writer died with the lock is written again", async () => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, ".index.json.lock"), "4194303 1\n");
    await using destination = layoutFolderDestination(folder.path, "it");
    await put(destination, imageFor("linux/amd64"));
    expect(await indexNames(folder.path)).toEqual(["it"]);
  });

  test("that is a folder of something else is refused", async () => {
    await using folder = await tempDir();
    await expect(openLayoutFolder(folder.path)).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_LAYOUT",
    });
  });

  test("tells what it has where a name is wrong", async () => {
    await using folder = await tempDir();
    await using destination = layoutFolderDestination(folder.path, "it");
    await put(destination, imageFor("linux/amd64"));
    await using source = await openLayoutFolder(folder.path, "at");
    await expect(source.fetchRoot()).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
      hint: "It has it.",
    });
  });

  test.skipIf(process.getuid?.() !== 0)("on a full disk says so", async () => {
    await using folder = await tempDir();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", folder.path]);
    try {
      await using destination = layoutFolderDestination(folder.path, "it");
      const layers = [{ tar: randomBytes(200_000), compression: "none" as const }];
      await expect(put(destination, buildImage({ layers }))).rejects.toMatchObject({
        code: "ERR_REGISTRY_NO_SPACE",
      });
    } finally {
      execFileSync("umount", [folder.path]);
    }
  });

  test("whose lock another process keeps is not written", async () => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, ".index.json.lock"), `${process.pid}\n`);
    await using destination = layoutFolderDestination(folder.path, "it");
    const waiting = put(destination, imageFor("linux/amd64"), AbortSignal.timeout(200));
    await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test("in a place that cannot be written says where", async () => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, "file"), "");
    await using destination = layoutFolderDestination(join(folder.path, "file"), "it");
    await expect(put(destination, imageFor("linux/amd64"))).rejects.toMatchObject({
      code: "ERR_REGISTRY_FILE",
    });
  });
});

async function put(
  destination: CopyDestination,
  image: BuiltImage,
  signal?: AbortSignal,
): Promise<void> {
  const content = {
    openContent: async function* ({ digest }: { readonly digest: Digest }) {
      yield image.blobs.get(digest)?.bytes ?? expect.fail("unknown");
    },
  };
  const { descriptor, manifest } = image;
  for (const layer of contentOf(image)) await destination.writeBlob(layer, content);
  await destination.writeManifest(parseManifest(manifest, descriptor.mediaType), { root: true });
  await destination.commit({ signal });
}
