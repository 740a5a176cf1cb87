import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Digest, digestOf, parsePlatform } from "@stowage/content";
import {
  copyImage,
  type CopySource,
  imageFolderDestination,
  layoutFolderDestination,
  openImageFolder,
  openLayoutFolder,
} from "@stowage/registry";
import {
  buildImage,
  buildIndex,
  type BuiltImage,
  hasPeer,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const IMAGE = buildImage({ layers: [{ entries: [{ name: "hello", content: "from us" }] }] });
const DOCKER = buildImage({
  layers: [{ entries: [{ name: "hello", content: "schema 2" }] }],
  mediaTypes: "docker",
});
const INDEX = buildIndex([
  IMAGE,
  buildImage({ layers: [], platform: parsePlatform("linux/s390x") }),
]);
const KINDS = [
  ["an OCI image", IMAGE],
  ["a Docker image", DOCKER],
  ["an index", INDEX],
] as const;

describe("dir:", () => {
  test.for(KINDS)("%s goes in and out without a digest changing", async ([, image]) => {
    await using folder = await tempDir();
    const path = join(folder.path, "it");
    await write(path, image);
    await using source = await openImageFolder(path);
    const layout = join(folder.path, "back");
    await using back = layoutFolderDestination(layout, "back");
    const { digest, mediaType } = image.descriptor;
    expect((await copyImage(source, back)).descriptor).toMatchObject({ digest, mediaType });
    const names = await readdir(path);
    // The root's own bytes are in `manifest.json`.
    expect(names).toHaveLength(image.blobs.size - 1 + 2);
  });

  test.skipIf(!hasPeer("skopeo")).for(KINDS)(
    "%s: skopeo reads what we wrote, and we what it wrote",
    async ([, image]) => {
      await using folder = await tempDir();
      const [ours, theirs] = [join(folder.path, "ours"), join(folder.path, "theirs")];
      await write(ours, image);
      const args = ["--insecure-policy", "copy", "--all", "--preserve-digests"];
      await run("skopeo", [...args, `dir:${ours}`, `dir:${theirs}`]);
      expect(await readFile(join(theirs, "version"))).toEqual(
        await readFile(join(ours, "version")),
      );
      await using source = await openImageFolder(theirs);
      await using back = layoutFolderDestination(join(folder.path, "back"), "it");
      expect((await copyImage(source, back)).descriptor.digest).toBe(image.descriptor.digest);
    },
  );

  test("another image takes the place of the one before, with its blobs and signatures", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "it");
    await write(path, INDEX);
    await writeFile(join(path, "signature-1"), "of the index");
    await writeFile(join(path, `${"a".repeat(64)}.signature-1`), "of one of its images");
    await writeFile(join(path, "notes.txt"), "somebody's");
    await write(path, DOCKER);
    const blobs = [...DOCKER.blobs.keys()].filter((one) => one !== DOCKER.descriptor.digest);
    expect((await readdir(path)).toSorted()).toEqual(
      [...blobs.map((one) => one.slice(7)), "manifest.json", "notes.txt", "version"].toSorted(),
    );
  });

  test("what is not committed leaves the image that was there", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "it");
    await write(path, IMAGE);
    const stop = new AbortController();
    {
      await using source = await sourceOf(DOCKER, folder.path);
      await using destination = imageFolderDestination(path);
      const copying = copyImage(source, destination, {
        signal: stop.signal,
        onProgress: ({ type }) => type === "blob-done" && stop.abort(new Error("enough")),
      });
      await expect(copying).rejects.toThrow("enough");
    }
    await using source = await openImageFolder(path);
    expect((await source.fetchRoot()).descriptor.digest).toBe(IMAGE.descriptor.digest);
    await write(path, DOCKER);
    expect(digestOf(await readFile(join(path, "manifest.json")))).toBe(DOCKER.descriptor.digest);
  });

  test("a folder with other things in it is left alone", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "it");
    await mkdir(path);
    await writeFile(join(path, "thesis.tex"), "x");
    await expect(write(path, IMAGE)).rejects.toMatchObject({ code: "ERR_REGISTRY_INVALID_LAYOUT" });
    expect(await readdir(path)).toEqual(["thesis.tex"]);
  });

  test("one writer at a time; the other is told who it is", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "it");
    await using source = await sourceOf(IMAGE, folder.path);
    const [config] = [...IMAGE.blobs.keys()];
    const descriptor = { mediaType: "x", digest: config ?? IMAGE.descriptor.digest, size: 1 };
    await using first = imageFolderDestination(path);
    await first.writeBlob(descriptor, source).catch(() => {});
    await using second = imageFolderDestination(path, { lockTimeout: 50 });
    await expect(copyImage(source, second)).rejects.toMatchObject({
      code: "ERR_REGISTRY_BUSY",
      message: expect.stringContaining(String(process.pid)),
    });
  });

  test.for([
    ["no manifest", async () => {}, "ERR_REGISTRY_INVALID_LAYOUT"],
    [
      "a manifest that is a link",
      (path: string) => symlink("/etc/hostname", path),
      "ERR_REGISTRY_INVALID_LAYOUT",
    ],
    [
      "a manifest without an end",
      (path: string) => writeFile(path, Buffer.alloc(4 * 1024 * 1024 + 1, " ")),
      "ERR_REGISTRY_TOO_LARGE",
    ],
    ["a manifest that is none", (path: string) => writeFile(path, "{"), "ERR_CONTENT_INVALID_JSON"],
  ] as const)("%s is told", async ([, make, code]) => {
    await using folder = await tempDir();
    await make(join(folder.path, "manifest.json"));
    await expect(openImageFolder(folder.path)).rejects.toMatchObject({ code });
  });

  test("the signatures of a manifest are read in their order, up to the first that is missing", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "image");
    await write(path, IMAGE);
    const { digest } = IMAGE.descriptor;
    const other = digestOf(Buffer.from("another"));
    for (const [name, text] of [
      ["signature-1", "one"],
      ["signature-2", "two"],
      ["signature-4", "four"],
      [`${other.slice("sha256:".length)}.signature-1`, "of another"],
    ] as const) {
      await writeFile(join(path, name), text);
    }
    await using source = await openImageFolder(path);
    const read = async (of: Digest): Promise<readonly string[] | undefined> =>
      (await source.signatureFiles?.(of))?.map((bytes) => Buffer.from(bytes).toString());
    expect(await read(digest)).toEqual(["one", "two"]);
    expect(await read(other)).toEqual(["of another"]);
    expect(await read(digestOf(Buffer.from("a third")))).toEqual([]);
  });

  test("signatures without end are not read to their end", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "image");
    await write(path, IMAGE);
    for (let at = 1; at <= 129; at += 1) await writeFile(join(path, `signature-${at}`), "x");
    await using source = await openImageFolder(path);
    await expect(source.signatureFiles?.(IMAGE.descriptor.digest)).rejects.toMatchObject({
      code: "ERR_REGISTRY_TOO_LARGE",
    });
    await rm(join(path, "signature-1"));
    await symlink("/etc/hostname", join(path, "signature-1"));
    await expect(source.signatureFiles?.(IMAGE.descriptor.digest)).resolves.toEqual([]);
  });

  test("a blob with other bytes than its name's is not copied on", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "it");
    await write(path, IMAGE);
    for (const name of await readdir(path)) {
      if (/^[0-9a-f]{64}$/.test(name)) await writeFile(join(path, name), "other bytes");
    }
    await using source = await openImageFolder(path);
    await using back = layoutFolderDestination(join(folder.path, "back"), "it");
    await expect(copyImage(source, back)).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_CONTENT_(?:DIGEST|SIZE)_MISMATCH$/),
    });
  });
});

async function write(path: string, image: BuiltImage): Promise<void> {
  await using folder = await tempDir();
  await using source = await sourceOf(image, folder.path);
  await using destination = imageFolderDestination(path);
  await copyImage(source, destination);
}

async function sourceOf(image: BuiltImage, folder: string): Promise<CopySource> {
  const layout = join(folder, `layout-${image.descriptor.digest.slice(7, 15)}`);
  await writeOciLayout(layout, { it: image });
  return await openLayoutFolder(layout, "it");
}
