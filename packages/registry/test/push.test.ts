import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";

import {
  type ContentProvider,
  type Descriptor,
  type Digest,
  digestOf,
  MEDIA_TYPE,
  parseManifest,
} from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
  type RepositoryClient,
} from "@stowage/registry";
import {
  buildImage,
  buildIndex,
  type BuiltImage,
  hasPeer,
  type RecordedRequest,
  type ScriptedAnswer,
  startDockerRegistry,
  startFaultyRegistry,
  tempDir,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { buildArtifact } from "./support/artifact.ts";
import { held, pushBuilt } from "./support/push-built.ts";

const LATEST = parseTag("latest");
const IMAGE = buildImage({ layers: [{ entries: [{ name: "a", content: "first" }] }] });

describe.skipIf(!hasPeer("docker-registry"))("against docker-registry", () => {
  test.for([
    ["in one request", undefined],
    ["in chunks", 10_000],
  ] as const)(
    "R17 what is pushed %s, another client reads byte for byte",
    async ([, chunkSize]) => {
      await using server = await startDockerRegistry();
      await using client = createRegistryClient({ plainHttp: true });
      const repository = repositoryOf(client, server.host);
      const blob = randomBytes(123_456);
      const layer = descriptorOf(blob);
      const sent: number[] = [];
      const onProgress = (bytes: number): void => void sent.push(bytes);
      expect(await repository.pushBlob(layer, held(blob), { chunkSize, onProgress })).toBe(
        "uploaded",
      );
      expect(sent.at(-1)).toBe(blob.length);
      const answer = await fetch(`${server.url}/v2/team/app/blobs/${layer.digest}`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(blob)).toBe(true);
      expect(await repository.pushBlob(layer, nobody, { chunkSize })).toBe("existed");
    },
  );

  test.skipIf(!hasPeer("skopeo"))("R17 skopeo reads an index that was pushed", async () => {
    await using server = await startDockerRegistry();
    await using folder = await tempDir();
    await using client = createRegistryClient({ plainHttp: true });
    const other = buildImage({ layers: [], platform: { os: "linux", architecture: "s390x" } });
    const index = buildIndex([IMAGE, other]);
    const repository = repositoryOf(client, server.host);
    await pushBuilt(repository, index, [LATEST]);
    const copy = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false"];
    const source = `docker://${server.host}/team/app:latest`;
    execFileSync("skopeo", [...copy, source, `oci:${folder.path}/layout:it`], { stdio: "ignore" });
    const read = execFileSync("skopeo", ["inspect", "--raw", `oci:${folder.path}/layout:it`]);
    expect(digestOf(read)).toBe(index.descriptor.digest);
  });

  test("R17 a blob of another repository is mounted, and uploaded where it cannot be", async () => {
    await using server = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const blob = randomBytes(1000);
    const layer = descriptorOf(blob);
    await repositoryOf(client, server.host, "team/one").pushBlob(layer, held(blob));
    const two = repositoryOf(client, server.host, "team/two");
    expect(await two.pushBlob(layer, nobody, { mountFrom: ["team/none", "team/one"] })).toBe(
      "mounted",
    );
    expect(await two.hasContent(layer)).toBe(true);
    const three = repositoryOf(client, server.host, "team/three");
    expect(await three.pushBlob(layer, held(blob), { mountFrom: ["team/none"] })).toBe("uploaded");
  });

  test("R17 tags, manifests and blobs are deleted", async () => {
    await using server = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = repositoryOf(client, server.host);
    await pushBuilt(repository, IMAGE, [LATEST]);
    const { digest } = IMAGE.descriptor;
    await repository.deleteManifest(digest);
    await expect(repository.fetchManifest(LATEST)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
    const [layer] = layersOf(IMAGE);
    if (layer === undefined) throw new Error("no layer");
    await repository.deleteBlob(layer.digest);
    expect(await repository.hasContent(layer)).toBe(false);
  });

  test("R17 referrers are kept under the fall-back tag, found by type, and taken out", async () => {
    await using server = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = repositoryOf(client, server.host);
    await pushBuilt(repository, IMAGE, [LATEST]);
    const subject = IMAGE.descriptor;
    const sbom = buildArtifact(subject, "application/spdx+json", "sbom");
    const signature = buildArtifact(subject, "application/vnd.example.signature", "signed");
    await Promise.all([sbom, signature].map((artifact) => pushBuilt(repository, artifact)));
    const all = await digestsOf(repository.referrers(subject.digest));
    expect(all.toSorted()).toEqual([sbom, signature].map(digestOfImage).toSorted());
    const artifactType = "application/spdx+json";
    const some = await digestsOf(repository.referrers(subject.digest, { artifactType }));
    expect(some).toEqual([digestOfImage(sbom)]);
    const tags = await Array.fromAsync(repository.tags());
    expect(tags).toContain(subject.digest.replace(":", "-"));
    await repository.deleteManifest(digestOfImage(sbom));
    expect(await digestsOf(repository.referrers(subject.digest))).toEqual([
      digestOfImage(signature),
    ]);
  });

  test("what refers to nothing that is there has no referrers", async () => {
    await using server = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = repositoryOf(client, server.host);
    expect(await digestsOf(repository.referrers(digestOf(randomBytes(8))))).toEqual([]);
  });

  test("R17 an image is kept under a sha512 digest", async () => {
    await using server = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = repositoryOf(client, server.host);
    const blob = randomBytes(5000);
    const digest = digestOf(blob, "sha512");
    const layer = { mediaType: MEDIA_TYPE.layerTar, digest, size: blob.length };
    expect(await repository.pushBlob(layer, held(blob))).toBe("uploaded");
    const read = await Array.fromAsync(repository.openContent(layer));
    expect(Buffer.concat(read).equals(blob)).toBe(true);
  });

  test("a provider of other bytes than the descriptor's leaves nothing behind", async () => {
    await using server = await startDockerRegistry();
    await using client = createRegistryClient({ plainHttp: true });
    const repository = repositoryOf(client, server.host);
    const layer = descriptorOf(randomBytes(64));
    await expect(repository.pushBlob(layer, held(randomBytes(64)))).rejects.toMatchObject({
      code: "ERR_CONTENT_DIGEST_MISMATCH",
    });
    expect(await repository.hasContent(layer)).toBe(false);
  });
});

describe("an upload", () => {
  test("is taken up where it broke, once the registry says how far it is", async () => {
    const blob = randomBytes(900_000);
    const registry = uploadRegistry({ breakAfter: 300_000 });
    await using server = await startFaultyRegistry(registry);
    const events: RegistryEvent[] = [];
    await using client = createRegistryClient({ ...QUICK, onEvent: (event) => events.push(event) });
    const repository = repositoryOf(client, server.host);
    await repository.pushBlob(descriptorOf(blob), held(blob), { chunkSize: 300_000 });
    expect(registry.kept().equals(blob)).toBe(true);
    expect(events).toContainEqual({
      type: "upload-resume",
      digest: digestOf(blob),
      offset: 300_000,
    });
    const sent = server.requests.filter(({ method }) => method === "PATCH");
    expect(sent.map(({ headers }) => headers["content-range"])).toEqual([
      "0-299999",
      "300000-599999",
      "300000-599999",
      "600000-899999",
    ]);
  });

  test("sends no chunk shorter than the registry wants", async () => {
    const blob = randomBytes(100_000);
    const registry = uploadRegistry({ minChunk: 40_000 });
    await using server = await startFaultyRegistry(registry);
    await using client = createRegistryClient(QUICK);
    const options = { chunkSize: 1000 };
    await repositoryOf(client, server.host).pushBlob(descriptorOf(blob), held(blob), options);
    const sent = server.requests.filter(({ method }) => method === "PATCH");
    expect(sent.map(({ body }) => body.length)).toEqual([40_000, 40_000, 20_000]);
  });

  test("V03 tells another host that the registry sends it to nothing of who we are", async () => {
    const blob = randomBytes(1000);
    await using other = await startFaultyRegistry({ script: () => ({ status: 201 }) });
    await using server = await startFaultyRegistry({
      script: ({ method, headers }) => {
        if (headers.authorization === undefined) {
          return { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } };
        }
        if (method === "HEAD") return { status: 404 };
        return { status: 202, headers: { location: `${other.url}/take/it?state=1` } };
      },
    });
    const credentials = { username: "someone", password: "not-for-others" };
    await using client = createRegistryClient({ ...QUICK, credentials });
    await repositoryOf(client, server.host).pushBlob(descriptorOf(blob), held(blob));
    expect(other.requests.map(({ method }) => method)).toEqual(["PUT"]);
    expect(JSON.stringify(other.requests.map(({ headers }) => headers))).not.toMatch(
      /authorization|bm90LWZvci1vdGhlcnM|not-for-others/u,
    );
    expect(other.requests[0]?.body.equals(blob)).toBe(true);
  });

  test("asks for the right to read where it mounts from", async () => {
    const blob = randomBytes(10);
    await using tokens = await startFaultyRegistry({
      script: () => ({ body: JSON.stringify({ token: "it" }) }),
    });
    await using server = await startFaultyRegistry({
      script: ({ method, headers }) => {
        const challenge = `Bearer realm="${tokens.url}/token",service="s"`;
        if (headers.authorization === undefined) {
          return { status: 401, headers: { "www-authenticate": challenge } };
        }
        return method === "HEAD" ? { status: 404 } : { status: 201 };
      },
    });
    await using client = createRegistryClient(QUICK);
    const repository = repositoryOf(client, server.host);
    await repository.pushBlob(descriptorOf(blob), nobody, { mountFrom: ["base/image"] });
    const scopes = tokens.requests.map(({ path }) =>
      new URL(path, tokens.url).searchParams.getAll("scope"),
    );
    expect(scopes).toEqual([
      ["repository:team/app:pull"],
      ["repository:team/app:pull,push", "repository:base/image:pull"],
    ]);
  });

  test("of a registry that takes no deletions says so", async () => {
    await using server = await startFaultyRegistry({
      script: () => ({
        status: 405,
        body: JSON.stringify({ errors: [{ code: "UNSUPPORTED", message: "no" }] }),
      }),
    });
    await using client = createRegistryClient(QUICK);
    const repository = repositoryOf(client, server.host);
    await expect(repository.deleteManifest(LATEST)).rejects.toMatchObject({
      code: "ERR_REGISTRY_UNSUPPORTED",
      diagnostics: [{ code: "UNSUPPORTED" }],
    });
  });
});

const QUICK: RegistryClientOptions = { plainHttp: true, retryDelay: 1 };

const nobody: ContentProvider = { openContent: () => expect.fail("content was opened") };

function repositoryOf(
  client: ReturnType<typeof createRegistryClient>,
  host: string,
  path = "team/app",
): RepositoryClient {
  return client.repository(parseReference(`${host}/${path}`).repository);
}

function descriptorOf(bytes: Uint8Array): Descriptor {
  return { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: bytes.byteLength };
}

function layersOf({ manifest }: BuiltImage): readonly Descriptor[] {
  const { document } = parseManifest(manifest);
  return document.kind === "manifest" ? document.manifest.layers : [];
}

function digestOfImage({ descriptor }: BuiltImage): Digest {
  return descriptor.digest;
}

async function digestsOf(found: AsyncIterable<Descriptor>): Promise<readonly Digest[]> {
  return (await Array.fromAsync(found)).map(({ digest }) => digest);
}

/** A registry with one upload, which breaks once when it has so many bytes. */
function uploadRegistry(options: { readonly breakAfter?: number; readonly minChunk?: number }) {
  let kept = Buffer.alloc(0);
  let broken = false;
  const script = ({ method, body, path }: RecordedRequest): ScriptedAnswer => {
    const headers = {
      location: `/v2/team/app/blobs/uploads/1?at=${kept.length}`,
      range: `0-${Math.max(kept.length - 1, 0)}`,
      ...(options.minChunk !== undefined && { "oci-chunk-min-length": String(options.minChunk) }),
    };
    if (method === "HEAD") return { status: 404 };
    if (method === "POST") return { status: 202, headers };
    if (method === "GET") return { status: 204, headers };
    if (method === "PUT") return { status: path.includes("digest=") ? 201 : 400 };
    if (kept.length === options.breakAfter && !broken) {
      broken = true;
      return { fault: { type: "reset" } };
    }
    kept = Buffer.concat([kept, body]);
    return { status: 202, headers: { ...headers, range: `0-${kept.length - 1}` } };
  };
  return { script, kept: () => kept };
}
