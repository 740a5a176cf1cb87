import { once } from "node:events";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";

import {
  createMemoryContentStore,
  type Descriptor,
  digestOf,
  type FetchedManifest,
  MEDIA_TYPE,
  parseManifest,
} from "@stowage/content";
import {
  findSignatures,
  formatSignatureBlob,
  type FoundSignatures,
  lookasideUrl,
  MAX_SIGNATURE_BYTES,
  packSignatures,
  parseSignatureBlob,
  type SignatureRegistry,
  type UrlFetcher,
  unpackSignatures,
} from "@stowage/policy";
import { parseReference, parseRepository } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const IMAGE = parseReference("q.io/a/b:1");
const MANIFEST = digestOf(Buffer.from("manifest"));
const HEX = MANIFEST.slice("sha256:".length);
/** What an OpenPGP signed message may begin with; nobody verifies anything here. */
const SIGNATURE = Buffer.from([0x90, 1, 2]);
const COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

describe("a lookaside of files", () => {
  test("has signatures numbered from 1, up to the first that is missing", async () => {
    await using world = await openWorld();
    await world.putFiles(1, 2, 4);
    const { signatures, places } = await world.find();
    expect(signatures).toEqual([
      { format: "simple-signing", bytes: SIGNATURE, origin: expect.stringMatching(/signature-1$/) },
      { format: "simple-signing", bytes: SIGNATURE, origin: expect.stringMatching(/signature-2$/) },
    ]);
    expect(places[0]).toEqual({ kind: "lookaside", location: world.base, found: 2 });
  });

  test("is asked for by the name of the mirror, not of the image", async () => {
    await using world = await openWorld();
    await world.putFiles(1);
    expect((await world.find({ from: "mirror.io/c/d" })).signatures).toEqual([]);
    await world.putFile(`c/d@sha256=${HEX}/signature-1`, SIGNATURE);
    expect((await world.find({ from: "mirror.io/c/d" })).signatures).toHaveLength(1);
  });

  test("S15 takes 128 signatures, and not one more", async () => {
    await using world = await openWorld();
    await world.putFiles(...Array.from({ length: 128 }, (_, index) => index + 1));
    expect((await world.find()).signatures).toHaveLength(128);
    await world.putFiles(129);
    await expect(world.find()).rejects.toMatchObject({
      code: "ERR_POLICY_TOO_MANY_SIGNATURES",
      kind: "LimitExceeded",
    });
  });

  test("S04, V83 takes 4 MiB for one, 16 MiB for all, and not a byte more", async () => {
    await using world = await openWorld();
    const large = Buffer.alloc(MAX_SIGNATURE_BYTES + 1, 0x90);
    const name = (n: number): string => `a/b@sha256=${HEX}/signature-${n}`;
    await world.putFile(name(1), large);
    const refused = { code: "ERR_POLICY_TOO_MANY_SIGNATURES" };
    await expect(world.find()).rejects.toMatchObject(refused);
    for (const n of [1, 2, 3, 4]) await world.putFile(name(n), large.subarray(1));
    expect((await world.find()).signatures).toHaveLength(4);
    await world.putFile(name(5), SIGNATURE);
    await expect(world.find()).rejects.toMatchObject(refused);
  });

  test.for([
    ["armor", "-----BEGIN PGP MESSAGE-----"],
    ["JSON", "{}"],
    ["nothing", ""],
    ["an unknown format", "\0other\ntext"],
    ["a format without an end", "\0simple-signing"],
    ["no name of a format", "\0\ntext"],
    ["sigstore without a payload", '\0sigstore-json\n{"mimeType":"a","annotations":{}}'],
    ["sigstore with more", '\0sigstore-json\n{"mimeType":"a","payload":"","annotations":{},"b":1}'],
    [
      "sigstore of another type",
      '\0sigstore-json\n{"mimeType":"a","payload":"*","annotations":{}}',
    ],
    ["sigstore that is no JSON", "\0sigstore-json\n{"],
  ] as const)("%s is no signature, and fails", async ([, text]) => {
    await using world = await openWorld();
    await world.putFile(`a/b@sha256=${HEX}/signature-1`, Buffer.from(text));
    await expect(world.find()).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURE_INVALID",
      kind: "SignatureInvalid",
    });
  });

  test("S17 what is there and cannot be read is an error, and not absent", async () => {
    await using world = await openWorld();
    const folder = join(world.path, `a/b@sha256=${HEX}`);
    await mkdir(join(folder, "signature-1"), { recursive: true });
    await expect(world.find()).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      kind: "RegistryUnavailable",
    });
    await symlink("signature-2", join(folder, "signature-2"));
    const loop = { base: `file://${folder}/signature-2` };
    await expect(world.find(loop)).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
    });
  });

  test.for(["ftp://a/b", "relative", "file://host/b", "https://user:secret@a/b", "data:,a"])(
    "S17 %s can be no lookaside",
    (base) => {
      expect(() => lookasideUrl(base, IMAGE.repository, MANIFEST, 1)).toThrow(
        expect.objectContaining({ code: "ERR_POLICY_INVALID_REGISTRIES_D" }),
      );
    },
  );

  test("S17 no repository leads out of the lookaside", () => {
    const url = lookasideUrl("file:///srv/a/../b/?x#y", IMAGE.repository, MANIFEST, 3);
    expect(url.pathname).toBe(`/srv/b/a/b@sha256=${HEX}/signature-3`);
    for (const name of ["q.io/../a", "q.io/a/../../b", "q.io/a//b", "q.io/%2e%2e/a"]) {
      expect(() => parseRepository(name)).toThrow(
        expect.objectContaining({ kind: "ReferenceInvalid" }),
      );
    }
  });
});

describe("a lookaside behind HTTP", () => {
  test("has none where the server says 404", async () => {
    await using server = await serve((n) => (n <= 2 ? [200, SIGNATURE] : [404, "not here"]));
    await using world = await openWorld();
    const { signatures, places } = await world.find({ base: server.base });
    expect(signatures).toHaveLength(2);
    expect(places[0]).toEqual({ kind: "lookaside", location: server.base, found: 2 });
    expect(server.paths[0]).toBe(`/sigs/a/b@sha256=${HEX}/signature-1`);
  });

  test.for([403, 401, 500, 503, 204, 302])(
    "S17 %s is an error, and not the absence of signatures",
    async (status) => {
      await using server = await serve((n) => (n === 1 ? [200, SIGNATURE] : [status, ""]));
      await using world = await openWorld();
      await expect(world.find({ base: server.base })).rejects.toMatchObject({
        code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      });
    },
  );

  test("S17 keeps the query of its URL out of what it says", async () => {
    await using server = await serve(() => [500, ""]);
    await using world = await openWorld();
    const finding = world.find({ base: `${server.base}?token=secret` });
    await expect(finding).rejects.toThrow(expect.not.stringContaining("secret"));
    expect(server.paths[0]).toContain("?token=secret");
  });

  test("S15 a signature without end is cut off", async () => {
    await using server = await serve(() => [200, Buffer.alloc(MAX_SIGNATURE_BYTES + 1, 0x90)]);
    await using world = await openWorld();
    await expect(world.find({ base: server.base })).rejects.toMatchObject({
      code: "ERR_POLICY_TOO_MANY_SIGNATURES",
    });
  });

  test("rejects with the reason of its signal", async () => {
    const reason = new Error("shutting down");
    await using server = await serve(() => [200, SIGNATURE]);
    await using world = await openWorld();
    const signal = AbortSignal.abort(reason);
    await expect(world.find({ base: server.base, signal })).rejects.toBe(reason);
  });
});

describe("signatures that the registry keeps", () => {
  test("come instead of the lookaside, also if there are none", async () => {
    await using world = await openWorld();
    await world.putFiles(1);
    expect((await world.find({ files: [SIGNATURE, SIGNATURE] })).signatures).toHaveLength(2);
    const { signatures, places } = await world.find({ files: [] });
    expect(signatures).toEqual([]);
    expect(places.slice(0, 2)).toMatchObject([
      { kind: "extension", found: 0 },
      { kind: "lookaside", skipped: expect.any(String) },
    ]);
  });
});

describe("signatures beside the image", () => {
  test("POL-U07 are not looked for unless registries.d says so, and the answer says that", async () => {
    await using world = await openWorld();
    await world.attach([layer("{}", COSIGN)]);
    const { signatures, places } = await world.find();
    expect(signatures).toEqual([]);
    const skipped = expect.stringContaining("use-sigstore-attachments for q.io/a/b");
    const remedy = expect.stringContaining(
      'docker: {"q.io/a/b": {use-sigstore-attachments: true}} in /etc/registries.d/',
    );
    expect(places.slice(1)).toEqual([
      { kind: "attachments", location: `q.io/a/b:sha256-${HEX}.sig`, skipped, remedy },
      { kind: "referrers", location: expect.any(String), skipped, remedy },
    ]);
  });

  test("S09, V84 are the layers of the one type, with their annotations", async () => {
    await using world = await openWorld();
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
    await using world = await openWorld();
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] };
    world.manifests.set(`sha256-${HEX}.sig`, parseManifest(Buffer.from(JSON.stringify(index))));
    await expect(world.find({ attachments: true })).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURE_INVALID",
    });
  });

  test("S15 129 of them are too many, and a long one is never opened", async () => {
    await using world = await openWorld();
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
    await using world = await openWorld();
    const [, descriptor] = layer("signed", COSIGN);
    await world.attach([[Buffer.from("forged"), descriptor]]);
    await expect(world.find({ attachments: true })).rejects.toMatchObject({
      code: "ERR_CONTENT_DIGEST_MISMATCH",
    });
  });

  test("S18 a registry that fails is an error, and not the absence of signatures", async () => {
    await using world = await openWorld();
    world.failure = new Error("down");
    await expect(world.find({ attachments: true })).rejects.toThrow("down");
  });

  test("bundles are found among the referrers, and what is no bundle is not read", async () => {
    await using world = await openWorld();
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
    await using world = await openWorld();
    const gone = await world.refer(BUNDLE, [layer("{}", BUNDLE)]);
    world.manifests.delete(gone);
    expect((await world.find({ attachments: true })).signatures).toEqual([]);
  });
});

describe("kept signatures", () => {
  const all = [
    parseSignatureBlob(SIGNATURE, "one"),
    parseSignatureBlob(Buffer.from("\0simple-signing\nabc"), "two"),
    parseSignatureBlob(
      Buffer.from('\0sigstore-json\n{"mimeType":"a","payload":"YQ==","annotations":{"b":"c"}}'),
      "three",
    ),
    parseSignatureBlob(Buffer.from("\0sigstore-bundle\n{}"), "four"),
  ];

  test("come out as they went in", () => {
    const kept = all.filter(({ origin }) => origin !== "two");
    const { signatures, places } = unpackSignatures(packSignatures(kept));
    expect(signatures).toEqual(kept);
    expect(places).toMatchObject([{ kind: "store", found: 3 }]);
  });

  test("as files begin with what they are", () => {
    const first = all.map((signature) => formatSignatureBlob(signature)[0]);
    expect(first).toEqual([0x90, 0x61, 0, 0]);
  });

  test.for(["", "[]", "{}", '{"version":2,"signatures":[]}', '{"version":1,"signatures":[{}]}'])(
    "S19 that are %s are damaged",
    (text) => {
      expect(() => unpackSignatures(Buffer.from(text))).toThrow(
        expect.objectContaining({ code: "ERR_POLICY_SIGNATURE_INVALID" }),
      );
    },
  );
});

type Layer = readonly [Buffer, Descriptor];

function layer(
  text: string,
  mediaType: string,
  annotations?: Readonly<Record<string, string>>,
): Layer {
  const bytes = Buffer.from(text);
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  return [bytes, annotations === undefined ? descriptor : { ...descriptor, annotations }];
}

interface FindOptions {
  readonly base?: string;
  readonly from?: string;
  readonly attachments?: boolean;
  readonly files?: readonly Uint8Array[];
  readonly signal?: AbortSignal;
}

/** A lookaside folder, and a registry in memory. */
async function openWorld() {
  const folder = await tempDir();
  const { path } = folder;
  const blobs = new Map<string, Uint8Array>();
  const manifests = new Map<string, FetchedManifest>();
  const referrers: Descriptor[] = [];
  const opened: string[] = [];
  const store = createMemoryContentStore();
  const manifestOf = (layers: readonly Layer[], artifactType?: string): FetchedManifest => {
    for (const [bytes, { digest }] of layers) blobs.set(digest, bytes);
    const config = { mediaType: MEDIA_TYPE.empty, digest: digestOf(Buffer.from("{}")), size: 2 };
    const document = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      artifactType,
      config,
      layers: layers.map(([, descriptor]) => descriptor),
    };
    return parseManifest(Buffer.from(JSON.stringify(document)));
  };
  const world = {
    path,
    base: `file://${path}`,
    manifests,
    opened,
    failure: undefined as Error | undefined,
    async putFile(name: string, bytes: Uint8Array): Promise<void> {
      await mkdir(dirname(join(path, name)), { recursive: true });
      await writeFile(join(path, name), bytes);
    },
    async putFiles(...numbers: readonly number[]): Promise<void> {
      for (const n of numbers) await world.putFile(`a/b@sha256=${HEX}/signature-${n}`, SIGNATURE);
    },
    async attach(layers: readonly Layer[]): Promise<void> {
      manifests.set(`sha256-${HEX}.sig`, manifestOf(layers));
    },
    async refer(artifactType: string, layers: readonly Layer[]): Promise<string> {
      const fetched = manifestOf(layers, artifactType);
      manifests.set(fetched.descriptor.digest, fetched);
      referrers.push({ ...fetched.descriptor, artifactType });
      return fetched.descriptor.digest;
    },
    async find(options: FindOptions = {}): Promise<FoundSignatures> {
      const { base = world.base, from = "q.io/a/b", attachments, files, signal } = options;
      const registry: SignatureRegistry = {
        repository: parseRepository(from),
        async findManifest(target) {
          if (world.failure) throw world.failure;
          return manifests.get(target);
        },
        async *referrers() {
          yield* referrers;
        },
        signatureFiles: async () => files,
        async *openContent(descriptor) {
          opened.push(descriptor.digest);
          const bytes = blobs.get(descriptor.digest);
          if (bytes === undefined) yield* store.openContent(descriptor);
          else yield bytes;
        },
      };
      const section = { file: "/etc/r.yaml", lookaside: base };
      const registriesD = {
        directory: "/etc/registries.d",
        docker: {},
        default:
          attachments === undefined ? section : { ...section, useSigstoreAttachments: attachments },
        defaultLookaside: "file:///nowhere",
      };
      const how = { registriesD, registry, fetchUrl: fetchUrl, signal };
      return await findSignatures(IMAGE, MANIFEST, how);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
  return world;
}

const fetchUrl: UrlFetcher = async (url, { signal }) => {
  const response = await fetch(url, { redirect: "manual", signal: signal ?? null });
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
};

/** Answers the question for the `n`th signature. */
async function serve(answer: (n: number) => readonly [status: number, body: Uint8Array | string]) {
  const paths: string[] = [];
  const server = createServer(({ url = "" }, response) => {
    paths.push(url);
    const [status, body] = answer(Number(/signature-(\d+)/.exec(url)?.[1]));
    response.writeHead(status).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    paths,
    base: `http://127.0.0.1:${port}/sigs`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
