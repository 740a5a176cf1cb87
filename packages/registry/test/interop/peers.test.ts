import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Digest, digestOf, parsePlatform } from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import {
  copyImage,
  createRegistryClient,
  layoutFolderDestination,
  openLayoutFolder,
  registryDestination,
  registrySource,
  type RepositoryClient,
} from "@stowage/registry";
import { buildImage, buildIndex, hasPeer, tempDir, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { DOORS, openDoor, type RegistryDoor } from "../support/registry-doors.ts";

const run = promisify(execFile);
const IT = parseTag("it");
const IMAGE = buildImage({
  layers: [{ entries: [{ name: "hello", content: "from us" }] }],
});
const DOCKER = buildImage({
  layers: [{ entries: [{ name: "hello", content: "schema 2" }] }],
  mediaTypes: "docker",
});
const INDEX = buildIndex([
  IMAGE,
  buildImage({ layers: [], platform: parsePlatform("linux/s390x") }),
  buildImage({ layers: [], platform: parsePlatform("linux/arm/v7") }),
]);
const hasPeers = ["docker-registry", "htpasswd", "podman", "skopeo", "umoci"].every(hasPeer);

describe.skipIf(!hasPeers).each(DOORS)("docker-registry behind %s", (kind) => {
  test("R17 what we push, skopeo and umoci read, and the reverse: digests equal", async () => {
    await using folder = await tempDir();
    await using door = await openDoor(kind, folder.path);
    await using client = createRegistryClient(door.client);
    const at = (name: string): string => join(folder.path, name);
    for (const [name, image] of Object.entries({ app: IMAGE, index: INDEX, docker: DOCKER })) {
      await writeOciLayout(at(name), { it: image });
      await using ours = await openLayoutFolder(at(name), "it");
      const repository = repositoryOf(client, door, name);
      await copyImage(ours, registryDestination(repository, IT));
      const place = `docker://${door.registry.host}/team/${name}`;
      const read = await skopeo("inspect", "--raw", ...door.options(""), `${place}:it`);
      expect([name, digestOf(read)]).toEqual([name, image.descriptor.digest]);
      // `dir:` takes manifests of Docker's types, which an OCI layout of skopeo's does not.
      const there = [...door.options("src-"), `${place}:it`, `dir:${at(`${name}-dir`)}`];
      await skopeo("copy", "--all", "--preserve-digests", ...there);
      const back = [...door.options("dest-"), `dir:${at(`${name}-dir`)}`, `${place}:back`];
      await skopeo("copy", "--all", "--preserve-digests", ...back);
      await copyImage(
        registrySource(repository, parseTag("back")),
        layoutFolderDestination(at("back"), name),
      );
      expect(await digestNamed(at("back"), name)).toBe(image.descriptor.digest);
      for (const [digest, { bytes }] of image.blobs) {
        expect(await hashOf(at("back"), digest)).toEqual(Buffer.from(bytes));
      }
    }
    const { stdout } = await run("umoci", ["stat", "--json", "--image", `${at("back")}:app`]);
    expect(JSON.parse(stdout)).toHaveProperty("history");
    await run("umoci", ["unpack", "--image", `${at("back")}:app`, at("bundle")]);
    expect(await readFile(at("bundle/rootfs/hello"), "utf8")).toBe("from us");
  });

  test("R17 podman runs with what we push, and we read what podman pushes", async () => {
    await using folder = await tempDir();
    await using door = await openDoor(kind, folder.path);
    await using client = createRegistryClient(door.client);
    const layout = join(folder.path, "layout");
    await writeOciLayout(layout, { it: IMAGE });
    await using ours = await openLayoutFolder(layout, "it");
    const repository = repositoryOf(client, door, "app");
    await copyImage(ours, registryDestination(repository, IT));
    const name = `${door.registry.host}/team/app`;
    await using podman = podmanIn(folder.path);
    await podman("pull", "--quiet", ...door.options(""), `${name}:it`);
    const images = JSON.parse(await podman("image", "inspect", `${name}:it`)) as readonly {
      readonly Digest: string;
    }[];
    expect(images[0]?.Digest).toBe(IMAGE.descriptor.digest);
    const digestFile = join(folder.path, "digest");
    const push = ["push", "--quiet", "--digestfile", digestFile, ...door.options("")];
    await podman(...push, `${name}:it`, `${name}:podman`);
    const pushed = await copyImage(
      registrySource(repository, parseTag("podman")),
      layoutFolderDestination(join(folder.path, "back"), "it"),
    );
    expect(pushed.descriptor.digest).toBe((await readFile(digestFile, "utf8")).trim());
  });
});

function repositoryOf(
  client: ReturnType<typeof createRegistryClient>,
  { registry }: RegistryDoor,
  name: string,
): RepositoryClient {
  return client.repository(parseReference(`${registry.host}/team/${name}`).repository);
}

async function skopeo(...args: string[]): Promise<Buffer> {
  const options = { encoding: "buffer", maxBuffer: 1e8 } as const;
  return (await run("skopeo", ["--insecure-policy", ...args], options)).stdout;
}

/** Podman over a store of its own. */
function podmanIn(folder: string) {
  const own = ["--root", join(folder, "root"), "--runroot", join(folder, "run")];
  const podman = async (...args: string[]): Promise<string> =>
    (await run("podman", [...own, "--storage-driver=vfs", ...args])).stdout;
  return Object.assign(podman, {
    [Symbol.asyncDispose]: async () => void (await podman("rmi", "--all", "--force")),
  });
}

async function digestNamed(layout: string, name: string): Promise<Digest | undefined> {
  await using source = await openLayoutFolder(layout, name);
  return (await source.fetchRoot()).descriptor.digest;
}

async function hashOf(layout: string, digest: Digest): Promise<Buffer> {
  const bytes = await readFile(join(layout, "blobs/sha256", digest.slice(7)));
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(digest.slice(7));
  return bytes;
}
