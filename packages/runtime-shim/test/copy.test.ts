import { readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createMemoryContentStore, digestOf } from "@stowage/content";
import { createRegistryServer } from "@stowage/registry-server";
import { buildImage, buildIndex, writeOciLayout } from "@stowage/testkit";
import {
  copyBetween,
  createRuntime,
  formatCopyLocation,
  isCopyLocation,
  parseCopyLocation,
} from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { openRuntimeWorld } from "./support/runtime-world.ts";

const DAY_MS = 86_400_000;
const IMAGE = buildImage({
  layers: ["one", "two"].map((content) => ({ entries: [{ name: content, content }] })),
});

describe("a location", () => {
  const valid: readonly (readonly [text: string, read: object, full?: string])[] = [
    [
      "docker://busybox",
      { transport: "docker", reference: { tag: "latest" } },
      "docker://docker.io/library/busybox:latest",
    ],
    ["docker://localhost:5000/a:1", { reference: { tag: "1", repository: { path: "a" } } }],
    ["oci:/a/b", { transport: "oci", path: "/a/b" }],
    ["oci:a:v1:rc", { path: "a", name: "v1:rc" }],
    ["dir:a:b", { transport: "dir", path: "a:b" }],
    ["oci-archive:a.tar:it", { transport: "oci-archive", path: "a.tar", name: "it" }],
    ["docker-archive:a.tar:localhost:5000/a:1", { path: "a.tar", name: "localhost:5000/a:1" }],
    [
      "docker-daemon:app",
      { image: { tag: "latest" } },
      "docker-daemon:docker.io/library/app:latest",
    ],
    [`docker-daemon:${IMAGE.descriptor.digest}`, { image: IMAGE.descriptor.digest }],
    ["store:sha256:abc", { transport: "store", image: "sha256:abc" }],
  ];
  test.for(valid)("%s is read", ([text, read, full = text]) => {
    const location = parseCopyLocation(text);
    expect(location).toMatchObject(read);
    expect(formatCopyLocation(location)).toBe(full);
    expect(isCopyLocation(text)).toBe(true);
  });

  test.each([
    "",
    "busybox",
    "docker:busybox",
    "oci:",
    "oci::tag",
    "store:",
    "dir:",
    "docker-daemon:",
    "OCI:a",
  ])("%j is none", (text) => {
    expect(() => parseCopyLocation(text)).toThrow(
      expect.objectContaining({ code: "ERR_RUNTIME_INVALID_LOCATION" }),
    );
  });
});

test("R22 an image that is removed while it is copied out of the store is copied whole", async () => {
  await using world = await openRuntimeWorld();
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  const kept = parseCopyLocation("store:localhost/app:1");
  await copyBetween(parseCopyLocation(`oci:${layout}:it`), kept, world.options);
  const content = createMemoryContentStore();
  let removed: Promise<unknown> | undefined;
  await using server = createRegistryServer({
    readOnly: false,
    content: {
      ...content,
      async stat(digest) {
        await (removed ??= world.runtime.images.removeImage("localhost/app:1"));
        return content.stat(digest);
      },
    },
  });
  const { host } = await server.listen();
  const there = parseCopyLocation(`docker://${host}/app:1`);
  const copied = await copyBetween(kept, there, world.options);
  expect(copied).toMatchObject({ digest: IMAGE.descriptor.digest, blobs: { uploaded: 3 } });
  for (const [digest, { bytes }] of IMAGE.blobs) {
    expect(await content.stat(digest)).toEqual({ digest, size: bytes.byteLength });
  }
  expect(await world.runtime.images.listImages()).toEqual([]);
});

test("R22 a copy out of the store holds up the collection of nothing that it does not need", async () => {
  await using world = await openRuntimeWorld();
  const { store, images } = world.runtime;
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  const kept = parseCopyLocation("store:localhost/app:1");
  await copyBetween(parseCopyLocation(`oci:${layout}:it`), kept, world.options);
  const garbage = Buffer.from("what nothing needs");
  const descriptor = { digest: digestOf(garbage), size: garbage.length };
  await store.blobs.write(descriptor, single(garbage));
  const content = createMemoryContentStore();
  let collected: Promise<unknown> | undefined;
  const collect = async (): Promise<void> => {
    await images.removeImage("localhost/app:1");
    await store.collectGarbage({ maxIngestAgeMs: 0 });
  };
  await using server = createRegistryServer({
    readOnly: false,
    content: {
      ...content,
      async stat(digest) {
        await (collected ??= collect());
        return content.stat(digest);
      },
    },
  });
  const { host } = await server.listen();
  await copyBetween(kept, parseCopyLocation(`docker://${host}/app:1`), world.options);
  expect(await store.blobs.stat(descriptor.digest)).toBeUndefined();
  expect(await content.stat(IMAGE.descriptor.digest)).toBeDefined();
});

test("an image is used when it is copied out of the store", async () => {
  await using world = await openRuntimeWorld();
  const { store, images } = world.runtime;
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  const kept = parseCopyLocation("store:localhost/app:1");
  await copyBetween(parseCopyLocation(`oci:${layout}:it`), kept, world.options);
  const { id } = await images.requireImage("localhost/app:1");
  const before = Date.now() - 40 * DAY_MS;
  const directory = join(store.root, "images", id.replace("sha256:", ""));
  const record = join(directory, "image.json");
  const stored = JSON.parse(await readFile(record, "utf8"));
  const created = new Date(before).toISOString();
  await writeFile(record, JSON.stringify({ ...stored, created }));
  await utimes(join(directory, "last-used"), new Date(before), new Date(before));
  expect(store.images.lastUse(await store.images.get(id))).toBe(before);
  const to = parseCopyLocation(`oci-archive:${join(world.path, "it.tar")}`);
  await copyBetween(kept, to, world.options);
  expect(store.images.lastUse(await store.images.get(id))).toBeGreaterThan(Date.now() - DAY_MS);
});

test("several platforms do not go into a place for one, and referrers not into the store", async () => {
  await using world = await openRuntimeWorld();
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: buildIndex([IMAGE]) });
  const from = parseCopyLocation(`oci:${layout}:it`);
  for (const [to, options] of [
    ["store:a", { allPlatforms: true }],
    ["docker-archive:a.tar", { allPlatforms: true }],
    ["store:a", { withReferrers: true }],
    ["docker-daemon:a", { allPlatforms: true }],
    ["docker-daemon:a", { withReferrers: true }],
    [`docker-daemon:${IMAGE.descriptor.digest}`, {}],
    [`docker-daemon:a@${IMAGE.descriptor.digest}`, {}],
    ["oci:a", { allPlatforms: true, platforms: [{ os: "linux", architecture: "arm64" }] }],
  ] as const) {
    const copying = copyBetween(from, parseCopyLocation(to), { ...world.options, ...options });
    await expect(copying).rejects.toMatchObject({ code: "ERR_RUNTIME_COPY_UNSUPPORTED" });
  }
});

test("a copy that touches no store makes none", async () => {
  await using world = await openRuntimeWorld();
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  const root = join(world.path, "other");
  const to = parseCopyLocation(`oci-archive:${join(world.path, "it.tar")}`);
  const options = { ...world.options, root };
  await copyBetween(parseCopyLocation(`oci:${layout}`), to, options);
  await expect(readFile(join(root, "version.json"))).rejects.toMatchObject({ code: "ENOENT" });
  await using runtime = await createRuntime(options);
  expect(await runtime.images.listImages()).toEqual([]);
});

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
