import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";

import {
  createMemoryContentStore,
  type Descriptor,
  type Digest,
  digestOf,
  MEDIA_TYPE,
  parsePlatform,
} from "@stowage/content";
import { parseReference } from "@stowage/reference";
import { createRegistryClient, type RegistryEvent, type RepositoryClient } from "@stowage/registry";
import { createRegistryServer } from "@stowage/registry-server";
import { copyBetween, parseCopyLocation } from "@stowage/runtime-shim";
import {
  buildImage,
  buildIndex,
  type BuiltImage,
  hasPeer,
  startCuttingProxy,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const INDEX = buildIndex(
  ["linux/amd64", "linux/arm64/v8", "linux/s390x"].map((platform) =>
    buildImage({
      layers: [{ entries: [{ name: "for", content: platform }] }],
      platform: parsePlatform(platform),
    }),
  ),
);
const SBOM = referrerOf(INDEX.descriptor, "application/spdx+json");
const SIGNATURE = referrerOf(INDEX.descriptor, "application/vnd.dev.cosign.artifact.sig.v1+json");
const OF_SBOM = referrerOf(SBOM.descriptor, "application/vnd.dev.cosign.artifact.sig.v1+json");
const ALL = [INDEX, SBOM, SIGNATURE, OF_SBOM];

describe.skipIf(!hasPeer("docker-registry") || !hasPeer("skopeo"))("referrers", () => {
  test("R17 are found by other clients at each stop of a round trip, all digests equal", async () => {
    await using folder = await tempDir();
    await using debian = await startDockerRegistry();
    await using ours = createRegistryServer({ content: memory(), readOnly: false });
    const { host, url } = await ours.listen();
    const layout = join(folder.path, "layout");
    await writeOciLayout(layout, Object.fromEntries(ALL.map((image, at) => [`${at}`, image])));
    const archive = `oci-archive:${folder.path}/it.tar:it`;
    const stops = [
      `docker://${host}/team/app:it`,
      `docker://${debian.host}/team/app:it`,
      archive,
      `docker://${host}/team/back:it`,
    ];
    let from = `oci:${layout}:0`;
    for (const to of stops) {
      const options = { root: folder.path, runRoot: folder.path, tlsVerify: false };
      const copied = await copyBetween(parseCopyLocation(from), parseCopyLocation(to), {
        ...options,
        withReferrers: true,
      });
      expect(copied).toMatchObject({ digest: INDEX.descriptor.digest, referrers: 3 });
      from = to;
    }
    for (const repository of ["team/app", "team/back"]) {
      for (const [subject, found] of expected()) {
        const answer = await fetch(`${url}/v2/${repository}/referrers/${subject}`);
        expect(digestsIn(await answer.text())).toEqual(found);
      }
    }
    const place = `${debian.host}/team/app`;
    for (const [subject, found] of expected()) {
      // Where there is no list of referrers, the specification has this tag instead.
      const list = await skopeo(
        "inspect",
        "--raw",
        `docker://${place}:${subject.replace(":", "-")}`,
      );
      expect(digestsIn(list.toString())).toEqual(found);
      for (const digest of found) {
        const manifest = await skopeo("inspect", "--raw", `docker://${place}@${digest}`);
        expect(digestOf(manifest)).toBe(digest);
      }
    }
    await skopeo("copy", "--all", `docker://${host}/team/back:it`, `dir:${folder.path}/read`);
  });
});

describe.skipIf(!hasPeer("nginx"))("behind an nginx that cuts connections", () => {
  test("R17 a push goes on where our registry has it", async () => {
    const blob = randomBytes(12 * MIB);
    const descriptor = {
      mediaType: MEDIA_TYPE.layerTar,
      digest: digestOf(blob),
      size: blob.byteLength,
    };
    const content = memory();
    await using server = createRegistryServer({ content, readOnly: false });
    const { host } = await server.listen();
    await using proxy = await startCuttingProxy(host);
    const events: RegistryEvent[] = [];
    await using client = createRegistryClient({
      plainHttp: true,
      retryDelay: 50,
      // Each cut takes one, and each MiB that came through gives them back.
      attempts: 3,
      onEvent: (event) => events.push(event),
    });
    const repository: RepositoryClient = client.repository(
      parseReference(`${proxy.host}/team/app`).repository,
    );
    const places = [3, 6, 9, 11].map((mib) => mib * MIB);
    const pushed = await repository.pushBlob(descriptor, {
      openContent: async function* (_, { offset = 0 } = {}) {
        // One for each connection: a second would meet the one that is cut already.
        let isCut = false;
        for (let at = offset; at < blob.byteLength; at += MIB / 4) {
          yield blob.subarray(at, at + MIB / 4);
          if (isCut || at < (places[0] ?? Infinity)) continue;
          isCut = true;
          places.shift();
          await proxy.cut();
        }
      },
    });
    expect(pushed).toBe("uploaded");
    expect(await content.stat(descriptor.digest)).toMatchObject({ size: blob.byteLength });
    const offsets = events.flatMap((event) =>
      event.type === "upload-resume" ? [event.offset] : [],
    );
    // What was under way may come in still when it is asked how far it is.
    expect(offsets.length).toBeGreaterThanOrEqual(4);
    expect(Math.max(...offsets)).toBeGreaterThan(3 * MIB);
  });
});

function expected(): readonly (readonly [subject: Digest, found: readonly Digest[]])[] {
  const sorted = (...images: BuiltImage[]): readonly Digest[] =>
    images.map(({ descriptor }) => descriptor.digest).toSorted();
  return [
    [INDEX.descriptor.digest, sorted(SBOM, SIGNATURE)],
    [SBOM.descriptor.digest, sorted(OF_SBOM)],
  ];
}

function digestsIn(index: string): readonly string[] {
  const { manifests } = JSON.parse(index) as { manifests: readonly { digest: string }[] };
  return manifests.map(({ digest }) => digest).toSorted();
}

function memory() {
  return createMemoryContentStore();
}

async function skopeo(command: string, ...args: string[]): Promise<Buffer> {
  const tls = command === "copy" ? "--src-tls-verify=false" : "--tls-verify=false";
  const all = ["--insecure-policy", command, tls, ...args];
  return (await run("skopeo", all, { encoding: "buffer" })).stdout;
}

function referrerOf(subject: Descriptor, artifactType: string): BuiltImage {
  const blobs = new Map<Digest, { readonly mediaType: string; readonly bytes: Uint8Array }>();
  const add = (mediaType: string, bytes: Uint8Array): Descriptor => {
    blobs.set(digestOf(bytes), { mediaType, bytes });
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  };
  const { mediaType, digest, size } = subject;
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      artifactType,
      config: add(MEDIA_TYPE.empty, Buffer.from("{}")),
      layers: [add(artifactType, Buffer.from(`${artifactType} of ${digest}`))],
      subject: { mediaType, digest, size },
    }),
  );
  return { descriptor: add(MEDIA_TYPE.imageManifest, manifest), manifest, blobs };
}
