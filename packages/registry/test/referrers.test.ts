import { type Descriptor, digestOf, MEDIA_TYPE, parseManifest } from "@stowage/content";
import { parseReference } from "@stowage/reference";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type RepositoryClient,
} from "@stowage/registry";
import { buildImage, type ScriptedAnswer, startFaultyRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { buildArtifact } from "./support/artifact.ts";

const IMAGE = buildImage({ layers: [{ entries: [{ name: "a", content: "first" }] }] });

describe("referrers", () => {
  const subject = IMAGE.descriptor.digest;
  const one = entry("application/spdx+json", "one");
  const two = entry("application/vnd.example.signature", "two");

  test("are read page by page, and filtered here whatever the registry says", async () => {
    await using server = await startFaultyRegistry({
      script: ({ path }) =>
        path.includes("page=2")
          ? list([two, one])
          : {
              ...list([one, two]),
              headers: {
                link: `<${path}&page=2>; rel="next"`,
                "oci-filters-applied": "artifactType",
              },
            },
    });
    await using client = createRegistryClient(QUICK);
    const repository = repositoryOf(client, server.host);
    const artifactType = "application/spdx+json";
    const found = await Array.fromAsync(repository.referrers(subject, { artifactType }));
    expect(found).toEqual([one, one]);
    expect(server.requests[0]?.path).toContain("artifactType=application%2Fspdx%2Bjson");
  });

  test.for([
    ["a manifest in place of an index", { body: IMAGE.manifest }, "ERR_REGISTRY_PROTOCOL"],
    ["no JSON", { body: "<html>" }, "ERR_REGISTRY_PROTOCOL"],
    ["a refusal", { status: 403 }, "ERR_REGISTRY_DENIED"],
    [
      "a page elsewhere",
      { ...list([one]), headers: { link: '</v2/other/x>; rel="next"' } },
      "ERR_REGISTRY_PROTOCOL",
    ],
  ] as const)("H34 %s is an error", async ([, answer, code]) => {
    await using server = await startFaultyRegistry({ script: (): ScriptedAnswer => answer });
    await using client = createRegistryClient(QUICK);
    const reading = Array.fromAsync(repositoryOf(client, server.host).referrers(subject));
    await expect(reading).rejects.toMatchObject({ code });
  });

  test("H34 more than ten thousand are refused", async () => {
    const many = Array.from({ length: 1000 }, () => one);
    await using server = await startFaultyRegistry({
      script: ({ path }) => ({
        ...list(many),
        headers: { link: `<${path.split("?")[0]}?n=${Math.random()}>; rel="next"` },
      }),
    });
    await using client = createRegistryClient(QUICK);
    const reading = Array.fromAsync(repositoryOf(client, server.host).referrers(subject));
    await expect(reading).rejects.toMatchObject({ code: "ERR_REGISTRY_TOO_LARGE" });
    expect(server.requests).toHaveLength(11);
  });

  test("a registry that lists them itself is given no fall-back tag", async () => {
    await using server = await startFaultyRegistry({
      script: ({ method }) =>
        method === "PUT" ? { status: 201, headers: { "oci-subject": subject } } : { status: 404 },
    });
    await using client = createRegistryClient(QUICK);
    const artifact = buildArtifact(IMAGE.descriptor, "application/spdx+json", "sbom");
    const manifest = parseManifest(artifact.manifest, artifact.descriptor.mediaType);
    await repositoryOf(client, server.host).pushManifest(manifest);
    expect(server.requests.map(({ path }) => path)).toEqual([
      `/v2/team/app/manifests/${artifact.descriptor.digest}`,
    ]);
  });

  test("others who keep writing the fall-back tag are a conflict, not a loss in silence", async () => {
    await using server = await startFaultyRegistry({
      script: ({ method }) => (method === "PUT" ? { status: 201 } : list([two])),
    });
    await using client = createRegistryClient(QUICK);
    const artifact = buildArtifact(IMAGE.descriptor, "application/spdx+json", "sbom");
    const manifest = parseManifest(artifact.manifest, artifact.descriptor.mediaType);
    const pushing = repositoryOf(client, server.host).pushManifest(manifest);
    await expect(pushing).rejects.toMatchObject({ code: "ERR_REGISTRY_CONFLICT" });
  });
});

const QUICK: RegistryClientOptions = { plainHttp: true, retryDelay: 1 };

function repositoryOf(
  client: ReturnType<typeof createRegistryClient>,
  host: string,
): RepositoryClient {
  return client.repository(parseReference(`${host}/team/app`).repository);
}

function entry(artifactType: string, text: string): Descriptor {
  const bytes = Buffer.from(text);
  const mediaType = MEDIA_TYPE.imageManifest;
  return { digest: digestOf(bytes), size: bytes.byteLength, mediaType, artifactType };
}

function list(manifests: readonly Descriptor[]): ScriptedAnswer {
  const mediaType = MEDIA_TYPE.imageIndex;
  return { body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }) };
}
