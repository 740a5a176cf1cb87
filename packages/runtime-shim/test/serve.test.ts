import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Digest, digestOf, MEDIA_TYPE, parsePlatform } from "@stowage/content";
import { copyBetween, parseCopyLocation, serveStore } from "@stowage/runtime-shim";
import { buildImage, type BuiltImage, hasPeer, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { createPushLease } from "../src/serve/push-lease.ts";

import { openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";

const run = promisify(execFile);
const IMAGE = buildImage({ layers: [{ entries: [{ name: "a", content: "a" }] }] });
const FOREIGN = buildImage({
  layers: [{ entries: [{ name: "b", content: "b" }] }],
  platform: parsePlatform("plan9/mips"),
});

test("what is pushed and is no image is served until the end, and found as a referrer", async () => {
  await using world = await openRuntimeWorld();
  await keep(world, "localhost/app:1");
  const artifact = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      artifactType: "application/vnd.example.sbom",
      config: { mediaType: MEDIA_TYPE.empty, digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: [],
      subject: IMAGE.descriptor,
    }),
  );
  {
    await using server = await serveStore({ ...world.options, writable: true });
    const { url } = await server.listen();
    await pushBlob(url, Buffer.from("{}"));
    expect(await putManifest(url, "app/manifests/sbom", artifact)).toMatchObject({ status: 201 });
    const found = await fetch(`${url}/v2/app/referrers/${IMAGE.descriptor.digest}`);
    expect(await found.json()).toMatchObject({
      manifests: [{ digest: digestOf(artifact), artifactType: "application/vnd.example.sbom" }],
    });
    const tags = await fetch(`${url}/v2/app/tags/list`);
    expect(await tags.json()).toMatchObject({ tags: ["1", "sbom"] });
  }
  const images = await world.runtime.images.listImages();
  expect(images.map(({ names }) => names)).toEqual([["localhost/app:1"]]);
});

test("an image is not pushed under another registry's name, whatever the policy says", async () => {
  await using world = await openRuntimeWorld();
  await using server = await serveStore({ ...world.options, writable: true });
  const { url } = await server.listen();
  await pushImage(url, IMAGE);
  const answer = await putManifest(url, "docker.io/a/manifests/1", IMAGE.manifest);
  expect(answer.status).toBe(403);
  expect(await answer.text()).toContain("docker.io");
  expect(await world.runtime.images.listImages()).toEqual([]);
});

test("a tag that comes to name what is no image for this host is no longer the image's", async () => {
  await using world = await openRuntimeWorld();
  await using server = await serveStore({ ...world.options, writable: true });
  const { url } = await server.listen();
  await pushImage(url, IMAGE);
  await putManifest(url, "app/manifests/1", IMAGE.manifest);
  const index = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageIndex,
      manifests: [FOREIGN.descriptor],
    }),
  );
  await pushImage(url, FOREIGN);
  const { digest } = FOREIGN.descriptor;
  await putManifest(url, `app/manifests/${digest}`, FOREIGN.manifest);
  await putManifest(url, "app/manifests/1", index, MEDIA_TYPE.imageIndex);
  const now = await fetch(`${url}/v2/app/manifests/1`);
  expect(digestOf(Buffer.from(await now.arrayBuffer()))).toBe(digestOf(index));
  expect(await world.runtime.images.imageStatus("localhost/app:1")).toBeUndefined();
  await putManifest(url, "app/manifests/1", IMAGE.manifest);
  const back = await fetch(`${url}/v2/app/manifests/1`);
  expect(digestOf(Buffer.from(await back.arrayBuffer()))).toBe(IMAGE.descriptor.digest);
});

test("no client removes a blob that the store may need", async () => {
  await using world = await openRuntimeWorld();
  await keep(world, "localhost/app:1");
  await using server = await serveStore({ ...world.options, writable: true });
  const { url } = await server.listen();
  const [layer] = [...IMAGE.blobs.keys()];
  const answer = await fetch(`${url}/v2/app/blobs/${layer}`, { method: "DELETE" });
  expect(answer.status).toBe(403);
  expect((await fetch(`${url}/v2/app/blobs/${layer}`)).status).toBe(200);
});

test("two registries' images of one path are asked for by their full names", async () => {
  await using world = await openRuntimeWorld();
  await keep(world, "one.example.com/app:1");
  await keep(world, "two.example.com/app:2");
  await using server = await serveStore(world.options);
  const { url } = await server.listen();
  const status = async (path: string): Promise<number> => (await fetch(`${url}/v2/${path}`)).status;
  expect(await status("app/tags/list")).toBe(404);
  expect(await status("one.example.com/app/manifests/1")).toBe(200);
  expect(await status("one.example.com/app/manifests/2")).toBe(404);
  expect(await status("two.example.com/app/manifests/2")).toBe(200);
});

test("no image is pushed under the name of a registry with a port whose images are here", async () => {
  await using world = await openRuntimeWorld();
  await keep(world, "localhost:5000/app:1");
  await using server = await serveStore({ ...world.options, writable: true });
  const { url } = await server.listen();
  await pushImage(url, IMAGE);
  const put = async (path: string): Promise<number> =>
    (await putManifest(url, path, IMAGE.manifest)).status;
  expect(await put("localhost_5000/app/manifests/1")).toBe(403);
  expect(await put("team_2024/app/manifests/1")).toBe(201);
});

test.skipIf(!hasPeer("skopeo"))(
  `skopeo pulls every image that is listed, whatever registry it is of${hasPeer("skopeo") ? "" : " (needs skopeo)"}`,
  async () => {
    await using world = await openRuntimeWorld();
    const names = ["localhost:5000/a", "127.0.0.1:33445/team/b", "Registry:1/c", "quay.io/d", "e"];
    for (const name of names) await keep(world, `${name}:1`);
    await using server = await serveStore(world.options);
    const { url, host } = await server.listen();
    const answer = await fetch(`${url}/v2/_catalog`);
    const { repositories } = (await answer.json()) as { readonly repositories: readonly string[] };
    expect(repositories).toEqual([
      "127.0.0.1_33445/team/b",
      "docker.io/library/e",
      "localhost_5000/a",
      "quay.io/d",
      "registry_1/c",
    ]);
    for (const [at, repository] of repositories.entries()) {
      await run("skopeo", [
        "copy",
        "--src-tls-verify=false",
        "--insecure-policy",
        `docker://${host}/${repository}:1`,
        `dir:${world.path}/pulled-${at}`,
      ]);
    }
  },
);

describe("R22 while a store is served to be written to", () => {
  test("what nothing needs is collected, and what is being pushed is not", async () => {
    await using world = await openRuntimeWorld();
    const { store } = world.runtime;
    const [garbage, found] = [Buffer.from("garbage"), Buffer.from("left by another push")];
    for (const bytes of [garbage, found]) {
      await store.blobs.write({ digest: digestOf(bytes), size: bytes.length }, single(bytes));
    }
    await using server = await serveStore({ ...world.options, writable: true });
    const { url } = await server.listen();
    // The image's blobs, and one that is found here, so that it is not sent.
    await pushImage(url, IMAGE);
    const asked = await fetch(`${url}/v2/app/blobs/${digestOf(found)}`, { method: "HEAD" });
    expect(asked.status).toBe(200);
    await (await fetch(`${url}/v2/app/blobs/${digestOf(garbage)}`)).arrayBuffer();
    await store.collectGarbage();
    expect(await store.blobs.stat(digestOf(garbage))).toBeUndefined();
    expect(await store.blobs.stat(digestOf(found))).toBeDefined();
    expect(await putManifest(url, "app/manifests/1", IMAGE.manifest)).toMatchObject({
      status: 201,
    });
  });

  test("what is no image stays until the end, and is collected then", async () => {
    await using world = await openRuntimeWorld();
    const { store } = world.runtime;
    {
      await using server = await serveStore({ ...world.options, writable: true });
      const { url } = await server.listen();
      await pushImage(url, FOREIGN);
      await putManifest(url, "app/manifests/1", FOREIGN.manifest);
      await store.collectGarbage();
      for (const digest of FOREIGN.blobs.keys()) {
        expect(await store.blobs.stat(digest)).toBeDefined();
      }
    }
    await store.collectGarbage();
    for (const digest of FOREIGN.blobs.keys()) {
      expect(await store.blobs.stat(digest)).toBeUndefined();
    }
  });

  test("what was pushed and is never referred to is kept for its time, what was for good longer", async () => {
    await using world = await openRuntimeWorld();
    const { store } = world.runtime;
    const written = await Promise.all(
      ["soon", "for good", "again and again"].map(async (text) => {
        const bytes = Buffer.from(text);
        const digest = digestOf(bytes);
        await store.blobs.write({ digest, size: bytes.length }, single(bytes));
        return digest;
      }),
    );
    const [soon, good, again] = written as [Digest, Digest, Digest];
    await using pushes = createPushLease(store, 200);
    await Promise.all([pushes.hold([soon, again]), pushes.hold([good], true), pushes.hold([good])]);
    await store.collectGarbage();
    expect(await Promise.all(written.map((one) => store.blobs.stat(one)))).not.toContain(undefined);
    await expect
      .poll(async () => {
        await pushes.hold([again]);
        await store.collectGarbage();
        return store.blobs.stat(soon);
      })
      .toBeUndefined();
    expect(await store.blobs.stat(again)).toBeDefined();
    await pushes.hold([again]);
    await expect
      .poll(async () => {
        await store.collectGarbage();
        return store.blobs.stat(again);
      })
      .toBeUndefined();
    expect(await store.blobs.stat(good)).toBeDefined();
  });
});

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function keep(world: RuntimeWorld, name: string): Promise<void> {
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: IMAGE });
  const from = parseCopyLocation(`oci:${layout}:it`);
  await copyBetween(from, parseCopyLocation(`store:${name}`), world.options);
}

async function pushImage(url: string, { blobs }: BuiltImage): Promise<void> {
  for (const { bytes } of blobs.values()) await pushBlob(url, bytes);
}

async function pushBlob(url: string, bytes: Uint8Array): Promise<void> {
  const place = `${url}/v2/app/blobs/uploads/?digest=${digestOf(bytes)}`;
  const { status } = await fetch(place, { method: "POST", body: Buffer.from(bytes) });
  expect(status).toBe(201);
}

function putManifest(
  url: string,
  path: string,
  bytes: Uint8Array,
  type: string = MEDIA_TYPE.imageManifest,
): Promise<Response> {
  const headers = { "content-type": type };
  return fetch(`${url}/v2/${path}`, { method: "PUT", headers, body: Buffer.from(bytes) });
}
