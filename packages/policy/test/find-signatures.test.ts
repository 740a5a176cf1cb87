import { createServer } from "node:http";

import { digestOf, MEDIA_TYPE, parseManifest } from "@stowage/content";
import { MAX_SIGNATURE_BYTES } from "@stowage/policy";
import { listenLocally } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { HEX, layer, openPlaces, SIGNATURE } from "./support/signature-places.ts";

const COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

describe("signatures that the registry keeps", () => {
  test("come instead of the lookaside, also if there are none", async () => {
    await using world = await openPlaces();
    await world.putFiles(1);
    expect((await world.find({ files: [SIGNATURE, SIGNATURE] })).signatures).toHaveLength(2);
    const { signatures, places } = await world.find({ files: [] });
    expect(signatures).toEqual([]);
    expect(places.slice(0, 2)).toMatchObject([
      { kind: "extension", found: 0, remedy: expect.stringContaining("q.io keeps its signatures") },
      { kind: "lookaside", skipped: expect.any(String) },
    ]);
  });
});

describe("signatures beside the image", () => {
  test("POL-U07 are not looked for unless registries.d says so, and the answer says that", async () => {
    await using world = await openPlaces();
    await world.attach([layer("{}", COSIGN)]);
    const { signatures, places } = await world.find();
    expect(signatures).toEqual([]);
    const skipped = expect.stringContaining("use-sigstore-attachments for q.io/a/b");
    const remedy = expect.stringContaining(
      'docker: {"q.io/a/b": {use-sigstore-attachments: true}} into a new file /etc/registries.d/NAME.yaml',
    );
    expect(places.slice(1)).toEqual([
      { kind: "attachments", location: `q.io/a/b:sha256-${HEX}.sig`, skipped, remedy },
      { kind: "referrers", location: expect.any(String), skipped, remedy },
    ]);
  });

  test("S09, V84 are the layers of the one type, with their annotations", async () => {
    await using world = await openPlaces();
    const annotations = { "dev.cosignproject.cosign/signature": "c2ln" };
    await world.attach([
      layer("one", COSIGN, annotations),
      layer("two", "application/vnd.dsse.envelope.v1+json"),
      layer("three", COSIGN),
    ]);
    const { signatures } = await world.find({ attachments: true });
    expect(signatures).toMatchObject([
      { format: "sigstore-attachment", mimeType: COSIGN, annotations },
      { format: "sigstore-attachment", annotations: {} },
    ]);
    expect(world.opened).toEqual([digestOf(Buffer.from("one")), digestOf(Buffer.from("three"))]);
  });

  test("S15 an index in their place is an error", async () => {
    await using world = await openPlaces();
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] };
    world.manifests.set(`sha256-${HEX}.sig`, parseManifest(Buffer.from(JSON.stringify(index))));
    await expect(world.find({ attachments: true })).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURE_INVALID",
    });
  });

  test("S15 129 of them are too many, and a long one is never opened", async () => {
    await using world = await openPlaces();
    await world.attach(Array.from({ length: 129 }, (_, index) => layer(`${index}`, COSIGN)));
    const refused = { code: "ERR_POLICY_TOO_MANY_SIGNATURES" };
    await expect(world.find({ attachments: true })).rejects.toMatchObject(refused);
    world.opened.length = 0;
    const [bytes, descriptor] = layer("a", COSIGN);
    await world.attach([[bytes, { ...descriptor, size: MAX_SIGNATURE_BYTES + 1 }]]);
    await expect(world.find({ attachments: true })).rejects.toMatchObject(refused);
    expect(world.opened).toEqual([]);
  });

  test("S16 bytes that are not those of the manifest are no signature", async () => {
    await using world = await openPlaces();
    const [, descriptor] = layer("signed", COSIGN);
    await world.attach([[Buffer.from("forged"), descriptor]]);
    await expect(world.find({ attachments: true })).rejects.toMatchObject({
      code: "ERR_CONTENT_DIGEST_MISMATCH",
    });
  });

  test("S18 a registry that fails is an error, and not the absence of signatures", async () => {
    await using world = await openPlaces();
    world.failure = new Error("down");
    await expect(world.find({ attachments: true })).rejects.toThrow("down");
  });

  test("bundles are found among the referrers, and what is no bundle is not read", async () => {
    await using world = await openPlaces();
    await world.refer("application/spdx+json", [
      layer("sbom", "application/spdx+json"),
      layer("{3}", BUNDLE),
    ]);
    const bundle = await world.refer(BUNDLE, [layer("{}", BUNDLE), layer("{2}", "text/plain")]);
    const { signatures, places } = await world.find({ attachments: true });
    expect(signatures).toEqual([
      {
        format: "sigstore-bundle",
        bytes: new Uint8Array(Buffer.from("{}")),
        origin: `the referrer ${bundle}`,
      },
    ]);
    expect(places.at(-1)).toMatchObject({ kind: "referrers", found: 1 });
    expect(world.opened).toEqual([digestOf(Buffer.from("{}"))]);
  });

  test("a referrer that is listed and gone, or an index, is nothing", async () => {
    await using world = await openPlaces();
    const gone = await world.refer(BUNDLE, [layer("{}", BUNDLE)]);
    world.manifests.delete(gone);
    expect((await world.find({ attachments: true })).signatures).toEqual([]);
  });
});

describe("a place that gives out a byte now and then", () => {
  async function openDrip(): Promise<AsyncDisposable & { readonly base: string }> {
    const server = await listenLocally(
      createServer((_, response) => {
        response.writeHead(200, { "content-length": 1_000_000 });
        const drip = setInterval(() => response.write("a"), 10);
        response.once("close", () => clearInterval(drip));
      }),
    );
    return { ...server, base: `http://127.0.0.1:${server.port}` };
  }

  test("is given up in the end, as a place that cannot be read", async () => {
    await using world = await openPlaces();
    await using drip = await openDrip();
    await expect(world.find({ base: drip.base, patience: 200 })).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      message: expect.stringContaining("q.io/a/b@sha256:"),
    });
  });

  test("is left at once by whoever gives up first, with the reason", async () => {
    await using world = await openPlaces();
    await using drip = await openDrip();
    const reason = new Error("enough");
    const controller = new AbortController();
    const found = world.find({ base: drip.base, patience: 60_000, signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await expect(found).rejects.toBe(reason);
  });
});
