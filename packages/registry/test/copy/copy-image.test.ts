import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, digestOf, parsePlatform } from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import {
  archiveDestination,
  copyImage,
  type CopyDestination,
  type CopyImageOptions,
  type CopyProgress,
  type CopySource,
  createRegistryClient,
  layoutFolderDestination,
  openArchive,
  openLayoutFolder,
  registryDestination,
  registrySource,
  type RepositoryClient,
} from "@stowage/registry";
import { buildIndex, hasPeer, startDockerRegistry, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { buildArtifact } from "../support/artifact.ts";
import { indexNames } from "../support/index-names.ts";
import { contentOf, imageFor } from "../support/platform-image.ts";
import { pushBuilt } from "../support/push-built.ts";

const ONE = parseTag("one");
const PLATFORMS = ["linux/amd64", "linux/arm64", "linux/s390x"];
const INDEX = buildIndex(PLATFORMS.map(imageFor));
const SBOM = buildArtifact(INDEX.descriptor, "application/spdx+json", "sbom");
const SIGNATURE = buildArtifact(INDEX.descriptor, "application/vnd.example.sig", "signed");
const OF_SBOM = buildArtifact(SBOM.descriptor, "application/vnd.example.sig", "signed, too");
const COSIGN = buildArtifact(INDEX.descriptor, "application/vnd.example.cosign", "old style");

describe.skipIf(!hasPeer("docker-registry"))("copyImage", () => {
  test("R17 three platforms with all that refers to them go round without a digest changing", async () => {
    await using world = await startWorld();
    const { first, second, folder } = world;
    await fillRegistry(first);
    const layout = join(folder, "layout");
    const archive = join(folder, "archive.tar");
    const back = parseTag("back");
    const steps: readonly (readonly [() => Promise<CopySource>, () => CopyDestination])[] = [
      [async () => registrySource(first, ONE), () => registryDestination(second, ONE)],
      [async () => registrySource(second, ONE), () => archiveDestination("oci-archive", archive)],
      [() => openArchive("oci-archive", archive), () => layoutFolderDestination(layout, "it")],
      [() => openLayoutFolder(layout, "it"), () => registryDestination(second, back)],
    ];
    for (const [open, to] of steps) {
      await using source = await open();
      await using destination = to();
      const copied = await copyImage(source, destination, { withReferrers: true });
      expect(copied.descriptor.digest).toBe(INDEX.descriptor.digest);
      expect(copied.manifests).toBe(8);
    }
    await expectAll(second, back);
    const names = await indexNames(layout);
    expect(names).toContain("it");
  });

  test.skipIf(!hasPeer("skopeo"))(
    "R17 what refers to a copied image, and to that, skopeo finds from the image's digest on",
    async () => {
      await using world = await startWorld();
      const { first, second, folder } = world;
      await fillRegistry(first);
      const archive = join(folder, "archive.tar");
      const way = [registrySource(first, ONE), archiveDestination("oci-archive", archive)] as const;
      await copy(...way, { withReferrers: true });
      const back = await openArchive("oci-archive", archive);
      await copy(back, registryDestination(second, ONE), { withReferrers: true });
      const { host } = second.repository;
      const about = (digest: Digest) => referrersBySkopeo(host, digest);
      const { digest } = INDEX.descriptor;
      const direct = [SBOM, SIGNATURE, COSIGN].map((built) => built.descriptor.digest);
      expect(about(digest)).toEqual(direct.toSorted());
      expect(about(SBOM.descriptor.digest)).toEqual([OF_SBOM.descriptor.digest]);
    },
  );

  test("every blob that is copied back is found there already", async () => {
    await using world = await startWorld();
    const { first, folder } = world;
    await fillRegistry(first);
    const layout = join(folder, "layout");
    await copy(registrySource(first, ONE), layoutFolderDestination(layout, "it"));
    const again = await copy(registrySource(first, ONE), layoutFolderDestination(layout, "it"));
    expect(again).toMatchObject({ bytes: 0, blobs: { existed: 6, uploaded: 0 } });
  });

  test("the totals that are told add up to what is copied, and each blob has its source", async () => {
    await using world = await startWorld();
    await fillRegistry(world.first);
    const told: CopyProgress[] = [];
    await using destination = layoutFolderDestination(join(world.folder, "layout"), "it");
    const copied = await copyImage(registrySource(world.first, ONE), destination, {
      withReferrers: true,
      onProgress: (event) => told.push(event),
    });
    const starts = told.filter((event) => event.type === "manifest-start");
    const blobs = starts.reduce((sum, start) => sum + start.blobs, 0);
    expect(blobs).toBe(copied.blobs.uploaded);
    expect(starts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(copied.bytes);
    const done = told.filter((event) => event.type === "blob-done");
    const { host } = world.first.repository;
    expect(done.map(({ source }) => source)).toEqual(done.map(() => host));
    expect(done).toHaveLength(blobs);
  });

  test("a damaged blob of a layout is mended by the next copy", async () => {
    await using world = await startWorld();
    const { first, folder } = world;
    await fillRegistry(first);
    const layout = join(folder, "layout");
    await copy(registrySource(first, ONE), layoutFolderDestination(layout));
    const [layer] = contentOf(imageFor("linux/amd64"));
    const file = join(layout, "blobs/sha256", layer?.digest.slice(7) ?? "");
    const sound = await readFile(file);
    await writeFile(file, randomBytes(sound.length));
    await using damaged = await openLayoutFolder(layout);
    await expect(copyImage(damaged, registryDestination(world.second, ONE))).rejects.toMatchObject({
      code: "ERR_CONTENT_DIGEST_MISMATCH",
    });
    await expect(world.second.fetchManifest(ONE)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
    await copy(registrySource(first, ONE), layoutFolderDestination(layout));
    expect(await readFile(file)).toEqual(sound);
  });

  test("blobs are mounted between repositories of one registry", async () => {
    await using world = await startWorld();
    await fillRegistry(world.first);
    const other = world.client.repository(
      parseReference(`${world.first.repository.host}/team/other`).repository,
    );
    const copied = await copyImage(
      registrySource(world.first, ONE),
      registryDestination(other, ONE),
    );
    expect(copied).toMatchObject({ bytes: 0, blobs: { mounted: 6, uploaded: 0 } });
  });

  test("one platform is that image itself", async () => {
    await using world = await startWorld();
    await fillRegistry(world.first);
    const wanted = imageFor("linux/s390x").descriptor.digest;
    const copied = await copyImage(
      registrySource(world.first, ONE),
      registryDestination(world.second, ONE),
      { platforms: [parsePlatform("linux/s390x")] },
    );
    expect(copied).toMatchObject({ descriptor: { digest: wanted }, manifests: 1 });
    expect((await world.second.fetchManifest(ONE)).descriptor.digest).toBe(wanted);
  });

  test("several platforms are the index with holes", async () => {
    await using world = await startWorld();
    await fillRegistry(world.first);
    const layout = join(world.folder, "layout");
    const platforms = ["linux/amd64", "linux/arm64"].map((text) => parsePlatform(text));
    const copied = await copyImage(
      registrySource(world.first, ONE),
      layoutFolderDestination(layout, "some"),
      { platforms },
    );
    expect(copied).toMatchObject({ descriptor: INDEX.descriptor, manifests: 3 });
    await using source = await openLayoutFolder(layout);
    await expect(source.fetchManifest(imageFor("linux/s390x").descriptor)).rejects.toMatchObject({
      code: "ERR_CONTENT_NOT_FOUND",
    });
    const none = copyImage(source, registryDestination(world.second, ONE), {
      platforms: [parsePlatform("linux/riscv64")],
    });
    await expect(none).rejects.toMatchObject({ code: "ERR_CONTENT_PLATFORM_NOT_FOUND" });
  });

  test("a copy that is stopped leaves no name and no half file", async () => {
    await using world = await startWorld();
    await fillRegistry(world.first);
    const archive = join(world.folder, "archive.tar");
    const reason = new Error("enough");
    const controller = new AbortController();
    {
      await using destination = archiveDestination("oci-archive", archive);
      const copying = copyImage(registrySource(world.first, ONE), destination, {
        signal: controller.signal,
        onProgress: ({ type }) => {
          if (type === "blob-done") controller.abort(reason);
        },
      });
      await expect(copying).rejects.toBe(reason);
    }
    await expect(readFile(archive)).rejects.toMatchObject({ code: "ENOENT" });
    expect(execFileSync("ls", ["-A", world.folder]).toString()).toBe("");
  });
});

describe.skipIf(!hasPeer("skopeo") || !hasPeer("docker-registry"))("with skopeo", () => {
  test.for(["oci", "oci-archive"] as const)("%s: each reads what the other wrote", async (kind) => {
    await using world = await startWorld();
    const { first, second, folder } = world;
    await fillRegistry(first);
    const ours = join(folder, "ours");
    const theirs = join(folder, "theirs");
    const to =
      kind === "oci" ? layoutFolderDestination(ours, "it") : archiveDestination(kind, ours, "it");
    await copy(registrySource(first, ONE), to);
    skopeo("copy", "--all", `${kind}:${ours}:it`, `${kind}:${theirs}:it`);
    await using source =
      kind === "oci" ? await openLayoutFolder(theirs, "it") : await openArchive(kind, theirs, "it");
    const copied = await copyImage(source, registryDestination(second, ONE));
    expect(copied.descriptor.digest).toBe(INDEX.descriptor.digest);
  });

  test("oci-archive: folders come before what is in them, each once", async () => {
    await using world = await startWorld();
    await fillRegistry(world.first);
    const path = join(world.folder, "ours");
    await copy(registrySource(world.first, ONE), archiveDestination("oci-archive", path, "it"));
    const names = execFileSync("tar", ["-tf", path], { encoding: "utf8" }).trim().split("\n");
    expect(names.slice(0, 2)).toEqual(["blobs/", "blobs/sha256/"]);
    expect(names.filter((name) => name.endsWith("/"))).toHaveLength(2);
  });

  test("docker-archive: skopeo reads ours, and we read its", async () => {
    await using world = await startWorld();
    const { first, second, folder } = world;
    await pushBuilt(first, imageFor("linux/amd64"), [ONE]);
    const ours = join(folder, "ours.tar");
    const theirs = join(folder, "theirs.tar");
    const name = "example.com/team/app:1";
    await copy(registrySource(first, ONE), archiveDestination("docker-archive", ours, name));
    skopeo("copy", `docker-archive:${ours}:${name}`, `docker-archive:${theirs}:${name}`);
    await using own = await openArchive("docker-archive", ours, name);
    const round = await copyImage(own, registryDestination(second, ONE));
    expect(round.descriptor.digest).toBe(imageFor("linux/amd64").descriptor.digest);
    await using source = await openArchive("docker-archive", theirs, name);
    await copyImage(source, registryDestination(second, parseTag("two")));
    const id = async (tag: string) => {
      const { document } = await second.fetchManifest(parseTag(tag));
      return document.kind === "manifest" ? document.manifest.config.digest : undefined;
    };
    expect(await id("two")).toBe(await id("one"));
  });

  test.skipIf(!hasPeer("umoci"))("umoci unpacks a layout of ours", async () => {
    await using world = await startWorld();
    await pushBuilt(world.first, imageFor("linux/amd64"), [ONE]);
    const layout = join(world.folder, "layout");
    await copy(registrySource(world.first, ONE), layoutFolderDestination(layout, "it"));
    const bundle = join(world.folder, "bundle");
    execFileSync("umoci", ["unpack", "--rootless", "--image", `${layout}:it`, bundle]);
    expect(await readFile(join(bundle, "rootfs/which"), "utf8")).toBe("linux/amd64");
  });
});

interface World extends AsyncDisposable {
  readonly client: ReturnType<typeof createRegistryClient>;
  readonly first: RepositoryClient;
  readonly second: RepositoryClient;
  readonly folder: string;
}

async function startWorld(): Promise<World> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const one = stack.use(await startDockerRegistry());
  const two = stack.use(await startDockerRegistry());
  const client = stack.use(createRegistryClient({ plainHttp: true }));
  const of = (host: string): RepositoryClient =>
    client.repository(parseReference(`${host}/team/app`).repository);
  return {
    client,
    first: of(one.host),
    second: of(two.host),
    folder: folder.path,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function fillRegistry(repository: RepositoryClient): Promise<void> {
  await pushBuilt(repository, INDEX, [ONE]);
  for (const artifact of [SBOM, SIGNATURE, OF_SBOM]) await pushBuilt(repository, artifact);
  const tag = parseTag(`${INDEX.descriptor.digest.replace(":", "-")}.sig`);
  await pushBuilt(repository, COSIGN, [tag]);
}

async function expectAll(repository: RepositoryClient, tag: typeof ONE): Promise<void> {
  const { digest } = INDEX.descriptor;
  expect((await repository.fetchManifest(tag)).descriptor.digest).toBe(digest);
  for (const image of PLATFORMS.map(imageFor)) {
    await repository.fetchManifest(image.descriptor.digest);
    for (const layer of contentOf(image)) expect(await repository.hasContent(layer)).toBe(true);
  }
  const found = async (subject: Digest): Promise<readonly Digest[]> =>
    (await Array.fromAsync(repository.referrers(subject))).map((one) => one.digest).toSorted();
  const direct = [SBOM, SIGNATURE, COSIGN].map(({ descriptor }) => descriptor.digest);
  expect(await found(digest)).toEqual(direct.toSorted());
  expect(await found(SBOM.descriptor.digest)).toEqual([OF_SBOM.descriptor.digest]);
  const old = parseTag(`${digest.replace(":", "-")}.sig`);
  expect((await repository.fetchManifest(old)).descriptor.digest).toBe(COSIGN.descriptor.digest);
}

async function copy(
  source: CopySource,
  destination: CopyDestination,
  options: CopyImageOptions = {},
) {
  await using _source = source;
  await using to = destination;
  return await copyImage(source, to, options);
}

/** By the specification's tag, each of them read and held to its digest. */
function referrersBySkopeo(host: string, subject: Digest): readonly string[] {
  const read = (target: string): Buffer =>
    execFileSync("skopeo", [
      "inspect",
      "--tls-verify=false",
      "--raw",
      `docker://${host}/team/app${target}`,
    ]);
  const list = JSON.parse(read(`:${subject.replace(":", "-")}`).toString());
  const digests: readonly string[] = list.manifests.map(
    (entry: { digest: string }) => entry.digest,
  );
  for (const digest of digests) expect(digestOf(read(`@${digest}`))).toBe(digest);
  return digests.toSorted();
}

function skopeo(...args: readonly string[]): void {
  execFileSync("skopeo", [...args], { stdio: ["ignore", "ignore", "inherit"] });
}
