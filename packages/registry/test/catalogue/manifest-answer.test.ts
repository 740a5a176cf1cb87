import { gzipSync } from "node:zlib";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { openStage, otherBytes, SECRETS } from "../support/stage.ts";

const LIMIT = 4 * 1024 * 1024;
const OTHER = digestOf(Buffer.from("other"));

describe("the answer to a manifest", () => {
  test.for([
    [400, "RegistryProtocol"],
    [403, "AuthFailed"],
    [404, "RegistryNotFound"],
    [405, "RegistryProtocol"],
    [406, "RegistryProtocol"],
    [410, "RegistryProtocol"],
    [413, "RegistryProtocol"],
    [416, "RegistryProtocol"],
    [418, "RegistryProtocol"],
    [451, "RegistryProtocol"],
    [204, "RegistryProtocol"],
    [304, "RegistryProtocol"],
  ] as const)("H12 of status %i is %s, asked once", async ([status, kind]) => {
    await using stage = await openStage();
    stage.fault(/manifests/u, [{ status }]);
    const failure = await stage.refuses(kind, () => stage.fetchManifest());
    expect(failure).toMatchObject({ status, method: "GET", retryable: false });
    expect(stage.registry.requests).toHaveLength(2);
  });

  test("H12 an error's body without an end is read no further than 64 KiB", async () => {
    await using stage = await openStage();
    const headers = { "content-length": null };
    stage.fault(/manifests/u, [{ status: 404 }, { headers }, { endless: true }]);
    await stage.refuses("RegistryNotFound", () => stage.fetchManifest());
    await expect.poll(() => stage.registry.sockets.size).toBeLessThanOrEqual(1);
  });

  test("H13 the status decides for 404, and 200 with errors is no manifest", async () => {
    await using stage = await openStage();
    const body = JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "\u001b[2J" }] });
    stage.fault(/manifests/u, [{ status: 404 }, { body }], { nth: 1 });
    expect(await stage.refuses("RegistryNotFound", () => stage.fetchManifest())).toMatchObject({
      diagnostics: [{ code: "UNAUTHORIZED", message: String.raw`\u{1b}[2J` }],
    });
    stage.fault(/manifests/u, [{ body }]);
    await stage.refuses("ManifestInvalid", () => stage.fetchManifest());
  });

  test.for([
    ["nothing", null, undefined],
    ["its type with parameters", `${MEDIA_TYPE.imageManifest}; charset=utf-8`, undefined],
    ["text/plain", "text/plain", undefined],
    ["application/json", "application/json", undefined],
    ["an index", MEDIA_TYPE.imageIndex, "ManifestAmbiguous"],
    ["a manifest of Docker's", MEDIA_TYPE.dockerManifest, "ManifestAmbiguous"],
  ] as const)("H19 announced as %s", async ([, type, kind]) => {
    await using stage = await openStage();
    const body = stage.image.manifest;
    stage.fault(/manifests/u, [{ headers: { "content-type": type } }, { body }]);
    if (kind === undefined) await stage.fetchManifest();
    else await stage.refuses(kind, () => stage.fetchManifest());
  });

  test("H19 announced as two types is RegistryProtocol", async () => {
    await using stage = await openStage();
    const headers = { "content-type": ["text/plain", MEDIA_TYPE.imageManifest] };
    const { repository } = await stage.raw((socket) => {
      const lines = headers["content-type"].map((type) => `Content-Type: ${type}\r\n`);
      socket.end(`HTTP/1.1 200 OK\r\n${lines.join("")}Content-Length: 2\r\n\r\n{}`);
    });
    await stage.refuses("RegistryProtocol", () => repository.fetchManifest(stage.manifest));
  });

  test.for([
    ["none", null, undefined],
    ["of an algorithm that nobody knows", "md5:00000000000000000000000000000000", undefined],
    ["malformed", "sha256:../x", "RegistryProtocol"],
    ["two", [OTHER, OTHER], "RegistryProtocol"],
    ["of other bytes", OTHER, "DigestMismatch"],
  ] as const)("H20 by tag, with a digest that is %s: %s", async ([, digest, kind]) => {
    await using stage = await openStage();
    const headers = { "docker-content-digest": digest };
    stage.fault(/manifests/u, [{ headers }, { body: stage.image.manifest }]);
    if (kind === undefined) await stage.fetchManifest();
    else await stage.refuses(kind, () => stage.fetchManifest());
  });

  test.for([
    ["header right, body wrong", true, false],
    ["header wrong, body right", false, true],
    ["both wrong", false, false],
  ] as const)("H20 by digest, %s: the body's own digest decides", async ([, header, body]) => {
    await using stage = await openStage();
    const headers = { "docker-content-digest": header ? stage.manifest : OTHER };
    const bytes = body ? stage.image.manifest : Buffer.from(`${stage.image.manifest.toString()} `);
    stage.fault(/manifests/u, [{ headers }, { body: bytes }]);
    if (body) await stage.fetchManifest(stage.manifest);
    else await stage.refuses("DigestMismatch", () => stage.fetchManifest(stage.manifest));
  });

  test("H21 of 4 MiB passes, a byte more does not, announced or not", async () => {
    await using stage = await openStage();
    const { manifest } = stage.image;
    const most = Buffer.concat([manifest, Buffer.alloc(LIMIT - manifest.length, " ")]);
    stage.fault(/manifests/u, [{ body: most }], { nth: 1 });
    await stage.repository.resolve(digestOf(most));
    const body = Buffer.concat([most, Buffer.from(" ")]);
    stage.fault(/manifests/u, [{ body }], { nth: 1 });
    await stage.refuses("LimitExceeded", () => stage.fetchManifest());
    stage.fault(/manifests/u, [{ headers: { "content-length": null } }, { body }]);
    await stage.refuses("LimitExceeded", () => stage.fetchManifest());
  });

  test("H21 without a byte is invalid, without an end is left", async () => {
    await using stage = await openStage();
    stage.fault(/manifests/u, [{ body: "" }], { nth: 1 });
    await stage.refuses("ManifestInvalid", () => stage.fetchManifest());
    stage.fault(/manifests/u, [{ headers: { "content-length": null } }, { endless: true }]);
    await stage.refuses("LimitExceeded", () => stage.fetchManifest());
    await expect.poll(() => stage.registry.sockets.size).toBeLessThanOrEqual(1);
  });

  test("H22 what HEAD says of it is not asked for, so it cannot lie", async () => {
    await using stage = await openStage();
    const headers = { "docker-content-digest": OTHER, "content-length": "7" };
    stage.fault(/manifests/u, [{ headers }], { method: "HEAD" });
    expect(await stage.repository.resolve(stage.manifest)).toMatchObject({
      digest: stage.manifest,
      size: stage.image.manifest.length,
    });
    await stage.pull();
    expect(stage.registry.requests.filter(({ method }) => method === "HEAD")).toEqual([]);
  });

  test.for([
    ["gzip", gzipSync(JSON.stringify({ errors: [{ code: SECRETS.token }] })), "gzip"],
    ["binary", otherBytes(5000), undefined],
    [
      "100 000 errors",
      JSON.stringify({ errors: Array.from({ length: 100_000 }, () => ({ code: "X" })) }),
      undefined,
    ],
    [
      "1 MiB of one",
      JSON.stringify({ errors: [{ code: "X", message: "y".repeat(1_000_000) }] }),
      undefined,
    ],
    [
      "60 KiB of one",
      JSON.stringify({ errors: [{ code: "X", message: `\u001b]0;${"y".repeat(60_000)}` }] }),
      undefined,
    ],
    [
      "our secrets",
      JSON.stringify({ errors: [{ code: SECRETS.token, message: `Bearer ${SECRETS.token}` }] }),
      undefined,
    ],
  ] as const)(
    "H40 V09 an error's body of %s is told in a KiB, without secrets",
    async ([, body, encoding]) => {
      await using stage = await openStage();
      const headers = encoding === undefined ? {} : { "content-encoding": encoding };
      stage.fault(/manifests/u, [{ status: 400 }, { headers }, { body }]);
      const { message } = await stage.refuses("RegistryProtocol", () => stage.fetchManifest());
      expect((message as string).length).toBeLessThan(1024 + 200);
    },
  );
});
