import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { MEDIA_TYPE } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { json, makeImage } from "../support/images.ts";
import { openStage, type Stage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\n";

describe("the answer to a blob", () => {
  test.for([
    ["smaller", "99999", "SizeMismatch"],
    ["larger", "100001", "SizeMismatch"],
    ["negative", "-1", "RegistryProtocol"],
    ["1e3", "1e5", "RegistryProtocol"],
    ["signed", "+100000", "RegistryProtocol"],
    ["hexadecimal", "0x186a0", "RegistryProtocol"],
    ["a list", "100000, 100000", "RegistryProtocol"],
    ["said twice", "100000\r\nContent-Length: 100000", "RegistryProtocol"],
    ["beyond all numbers", "99999999999999999999999", "RegistryProtocol"],
  ] as const)("H23 V13 whose length is %s: %s before the body", async ([, length, kind]) => {
    await using stage = await openStage();
    const { repository } = await stage.raw((socket) =>
      socket.write(`${OK}Content-Length: ${length}\r\n\r\n`),
    );
    await stage.refuses(kind, () => stage.readLayer(repository));
  });

  test.for([
    ["too short, to the end of the connection", -1, "SizeMismatch"],
    ["empty, to the end of the connection", -100_000, "SizeMismatch"],
    ["too long, to the end of the connection", 1, "SizeMismatch"],
    ["whole, to the end of the connection", 0, undefined],
  ] as const)("H24 N03 that is %s", async ([, more, kind]) => {
    await using stage = await openStage();
    const body = Buffer.concat([stage.layer.bytes, Buffer.alloc(1)]).subarray(0, 100_000 + more);
    const { repository } = await stage.raw((socket) => {
      socket.write(`${OK}Connection: close\r\n\r\n`);
      socket.end(body);
    });
    if (kind === undefined) await stage.readLayer(repository);
    else await stage.refuses(kind, () => stage.readLayer(repository));
  });

  test.for([
    ["too short", -1],
    ["too long", 1],
  ] as const)("H24 N04 that ends well, and is %s, is SizeMismatch", async ([, more]) => {
    await using stage = await openStage();
    const body = Buffer.concat([stage.layer.bytes, Buffer.alloc(1)]).subarray(0, 100_000 + more);
    stage.fault(/blobs/u, [{ headers: { "content-length": null } }, { body }]);
    await stage.refuses("SizeMismatch", () => stage.readLayer());
    await stage.refuses("SizeMismatch", () => stage.pull());
  });

  test("H24 longer than announced is cut where it was to end, and its connection left", async () => {
    await using stage = await openStage();
    const { repository, server } = await stage.raw((socket) => {
      socket.write(`${OK}Content-Length: 100000\r\n\r\n`);
      socket.write(Buffer.concat([stage.layer.bytes, Buffer.from("HTTP/1.1 200 OK\r\n\r\n")]));
    });
    await stage.readLayer(repository);
    await stage.readLayer(repository);
    expect(server.requests).toHaveLength(2);
  });

  test("H25 N05 with a flipped bit, always: DigestMismatch, and no file of it", async () => {
    await using stage = await openStage();
    stage.fault(digestPath(stage), [{ body: stage.layer.bytes }, { flipBit: 4321 }]);
    await stage.refuses("DigestMismatch", () => stage.readLayer());
    await stage.refuses("DigestMismatch", () => stage.pull());
    expect(await readdir(join(stage.world.place, "layout", "blobs", "sha256"))).not.toContain(
      stage.layer.descriptor.digest.slice("sha256:".length),
    );
  });

  test("N05 with a flipped bit, once: fetched again, once", async () => {
    await using stage = await openStage();
    stage.fault(digestPath(stage), [{ body: stage.layer.bytes }, { flipBit: 4321 }], { nth: 1 });
    await stage.pull();
    const path = `/v2/team/app/blobs/${stage.layer.descriptor.digest}`;
    const asked = stage.registry.requests.filter(({ path: one }) => one === path);
    expect(asked.filter(({ headers }) => headers.authorization !== undefined)).toHaveLength(2);
  });

  test.for(["gzip", "br", "deflate", "gzip, gzip, gzip, gzip, gzip, gzip", "x"])(
    "H26 V12 encoded as %s is RegistryProtocol",
    async (encoding) => {
      await using stage = await openStage();
      const headers = { "content-encoding": encoding };
      stage.fault(/blobs/u, [{ headers }, { body: stage.layer.bytes }]);
      await stage.refuses("RegistryProtocol", () => stage.readLayer());
      const asked = stage.registry.requests.map((request) => request.headers["accept-encoding"]);
      expect(new Set(asked)).toEqual(new Set(["identity"]));
    },
  );

  test("H26 encoded as identity is as it is", async () => {
    await using stage = await openStage();
    const headers = { "content-encoding": "identity" };
    stage.fault(/blobs/u, [{ headers }, { body: stage.layer.bytes }]);
    await stage.readLayer();
  });
});

describe("between manifest and blob", () => {
  test("N29 the tag moves: one image, the one that the manifest was of", async () => {
    await using stage = await openStage();
    const other = makeImage([10]);
    stage.fault(/manifests\/latest/u, [{ body: stage.image.manifest }], { nth: 1 });
    stage.fault(/manifests\/latest/u, [{ body: other.manifest }]);
    await stage.pull();
    const names = await readdir(join(stage.world.place, "layout", "blobs", "sha256"));
    const digests = [
      stage.manifest,
      ...stage.image.blobs.map(({ descriptor }) => descriptor.digest),
    ];
    expect(names.sort()).toEqual(digests.map((digest) => digest.slice("sha256:".length)).sort());
  });

  test("N30 the blob is deleted: RegistryNotFound that names it, and no image", async () => {
    await using stage = await openStage();
    stage.fault(digestPath(stage), [{ status: 404 }]);
    const { message } = await stage.refuses("RegistryNotFound", () => stage.pull());
    expect(message).toContain(stage.layer.descriptor.digest);
    expect(await readdir(join(stage.world.place, "layout"))).not.toContain("index.json");
  });
});

describe("a manifest that leads astray", () => {
  test.for([
    "sha256:../../../etc/passwd",
    `sha256:${"a".repeat(63)}?x=1`,
    `sha256:${"a".repeat(64)}\r\nX-Evil: 1`,
    "sha256:a#b",
    `SHA256:${"a".repeat(64)}`,
  ])("V07 the digest %j is in no request", async (digest) => {
    await using stage = await openStage();
    const [config] = stage.image.blobs;
    const body = json({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      config: config?.descriptor,
      layers: [{ mediaType: MEDIA_TYPE.layerTar, digest, size: 1 }],
    });
    stage.fault(/manifests/u, [{ body }]);
    await stage.refuses(digest.startsWith("SHA") ? "DigestUnsupported" : "DigestInvalid", () =>
      stage.pull(),
    );
    expect(stage.registry.requests.some(({ path }) => path.includes("blobs"))).toBe(false);
  });

  test("M19 the data that a descriptor brings along is not taken for the blob", async () => {
    await using stage = await openStage();
    const data = Buffer.from("other bytes").toString("base64");
    const descriptor = { ...stage.layer.descriptor, data };
    const read = await Array.fromAsync(stage.repository.openContent(descriptor));
    expect(Buffer.concat(read).equals(stage.layer.bytes)).toBe(true);
    stage.fault(digestPath(stage), [{ status: 404 }]);
    await stage.refuses("RegistryNotFound", () =>
      Array.fromAsync(stage.repository.openContent(descriptor)),
    );
  });

  test("M22 an index that names a config as an image is refused, and no image is there", async () => {
    await using stage = await openStage();
    const [config] = stage.image.blobs;
    const manifests = [{ ...config?.descriptor, mediaType: MEDIA_TYPE.imageManifest }];
    const index = json({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests });
    stage.fault(/manifests\/latest/u, [{ body: index }]);
    stage.fault(/manifests\/sha256/u, [
      { headers: { "content-type": MEDIA_TYPE.imageConfig } },
      { body: config?.bytes ?? "" },
    ]);
    await stage.refuses("MediaTypeUnsupported", () => stage.pull());
  });

  test("V07 text is no digest to the compiler", async () => {
    await using stage = await openStage();
    const text = "sha256:../../x";
    // @ts-expect-error A digest has a single maker.
    const fetched = () => stage.repository.fetchManifest(text);
    // @ts-expect-error A digest has a single maker.
    const opened = () => stage.repository.openContent({ mediaType: "x", digest: text, size: 1 });
    expect([typeof fetched, typeof opened]).toEqual(["function", "function"]);
  });

  test.for([
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ])("V01 the urls of a layer of type %s are never asked", async (mediaType) => {
    await using stage = await openStage();
    const [config] = stage.image.blobs;
    const urls = [`${stage.attacker.url}/layer`, "http://169.254.169.254/", "file:///etc/shadow"];
    const layer = { ...stage.layer.descriptor, mediaType, urls };
    const body = json({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      config: config?.descriptor,
      layers: [layer],
    });
    stage.fault(/manifests/u, [{ body }]);
    await stage.pull();
    stage.fault(digestPath(stage), [{ status: 404 }]);
    await stage.refuses("RegistryNotFound", () => stage.readLayer());
    expect(stage.attacker.accepted).toBe(0);
  });
});

function digestPath({ layer }: Stage): RegExp {
  return new RegExp(`blobs/${layer.descriptor.digest}`, "u");
}
