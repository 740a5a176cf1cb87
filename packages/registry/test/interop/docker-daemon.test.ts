import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Digest, type FetchedManifest, parseDigest } from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import {
  copyImage,
  type CopyDestination,
  type CopySource,
  createRegistryClient,
  dockerDaemonDestination,
  layoutFolderDestination,
  openDockerDaemon,
  openLayoutFolder,
  registryDestination,
  registrySource,
} from "@stowage/registry";
import {
  buildImage,
  type DockerDaemonKind,
  hasPeer,
  startDockerDaemon,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const KINDS: readonly DockerDaemonKind[] = ["dockerd", "podman"];
const IT = parseTag("it");
const BACK = parseTag("back");
const NAME = parseReference("localhost/team/app:1");
const LAYERS = ["one", "two"].map((content) => ({ entries: [{ name: content, content }] }));
const IMAGE = buildImage({ layers: LAYERS });
const hasPeers = process.getuid?.() === 0 && hasPeer("docker-registry");

describe.each(KINDS)("docker-daemon: of %s", (kind) => {
  const isMissing = !hasPeers || !hasPeer(kind);

  test.skipIf(isMissing)(
    "an image goes from a registry into it and back, config and layers the same",
    async () => {
      await using folder = await tempDir();
      await using registry = await startDockerRegistry();
      await using client = createRegistryClient({ plainHttp: true });
      await using daemon = await startDockerDaemon(kind);
      const { host } = daemon;
      const repository = client.repository(parseReference(`${registry.host}/app`).repository);
      const layout = join(folder.path, "layout");
      await writeOciLayout(layout, { it: IMAGE });
      await copy(await openLayoutFolder(layout, "it"), registryDestination(repository, IT));

      const into = await copy(
        registrySource(repository, IT),
        dockerDaemonDestination(NAME, { host }),
      );
      expect(into.descriptor.digest).toBe(IMAGE.descriptor.digest);

      const image = await openDockerDaemon(NAME, { host });
      await copy(image, registryDestination(repository, BACK));
      const document = await repository.fetchManifest(BACK);
      expect(configOf(document)).toBe(configOf(await repository.fetchManifest(IT)));
      const layers = layersOf(document);
      // Daemons keep layers unpacked, and pack them anew.
      expect(layers).toEqual(diffIDs());

      // By its ID, and without the name.
      const byID = await openDockerDaemon(configOf(document), { host });
      await copy(byID, layoutFolderDestination(layout, "by-id"));
      await using same = await openLayoutFolder(layout, "by-id");
      expect(layersOf(await same.fetchRoot())).toEqual(layers);
    },
  );

  test.skipIf(isMissing)(
    "skopeo and the daemon's own client see what we gave it, and the reverse",
    async () => {
      await using folder = await tempDir();
      await using daemon = await startDockerDaemon(kind);
      const { host } = daemon;
      const layout = join(folder.path, "layout");
      await writeOciLayout(layout, { it: IMAGE });
      await copy(await openLayoutFolder(layout, "it"), dockerDaemonDestination(NAME, { host }));
      const there = `docker-daemon:localhost/team/app:1`;
      const skopeo = async (...args: readonly string[]): Promise<string> =>
        (await run("skopeo", ["--insecure-policy", ...args])).stdout;
      const config = JSON.parse(await skopeo("inspect", "--daemon-host", host, "--config", there));
      expect(config.rootfs.diff_ids).toEqual(diffIDs());
      const theirs = "docker-daemon:localhost/theirs:2";
      await skopeo("copy", "--dest-daemon-host", host, `oci:${layout}:it`, theirs);
      const source = await openDockerDaemon(parseReference("localhost/theirs:2"), { host });
      await copy(source, layoutFolderDestination(layout, "theirs"));
      await using copied = await openLayoutFolder(layout, "theirs");
      expect(layersOf(await copied.fetchRoot())).toEqual(diffIDs());
    },
  );

  test.skipIf(isMissing)(
    "what it does not have is not found, and what it can not load is told",
    async () => {
      await using folder = await tempDir();
      await using daemon = await startDockerDaemon(kind);
      const { host } = daemon;
      for (const absent of [NAME, parseDigest(`sha256:${"0".repeat(64)}`)]) {
        await expect(openDockerDaemon(absent, { host })).rejects.toMatchObject({
          code: "ERR_REGISTRY_NOT_FOUND",
          status: 404,
        });
      }
      const layout = join(folder.path, "layout");
      const broken = buildImage({ layers: [{ tar: Buffer.from("no archive at all".repeat(64)) }] });
      await writeOciLayout(layout, { it: broken });
      const loading = copy(
        await openLayoutFolder(layout, "it"),
        dockerDaemonDestination(NAME, { host }),
      );
      await expect(loading).rejects.toMatchObject({ code: "ERR_REGISTRY_DAEMON_FAILED" });
      await expect(openDockerDaemon(NAME, { host })).rejects.toMatchObject({
        code: "ERR_REGISTRY_NOT_FOUND",
      });
    },
  );
});

async function copy(source: CopySource, destination: CopyDestination) {
  await using from = source;
  await using to = destination;
  return await copyImage(from, to);
}

function configOf({ document }: FetchedManifest): Digest {
  if (document.kind !== "manifest") throw new Error("an index");
  return document.manifest.config.digest;
}

function layersOf({ document }: FetchedManifest): readonly Digest[] {
  return document.kind === "manifest" ? document.manifest.layers.map(({ digest }) => digest) : [];
}

/** Of the image: the digests of its layers as they are unpacked. */
function diffIDs(): readonly Digest[] {
  const config = IMAGE.blobs.get(configDigest());
  const { rootfs } = JSON.parse(Buffer.from(config?.bytes ?? "").toString());
  return rootfs.diff_ids;
}

function configDigest(): Digest {
  const manifest = IMAGE.blobs.get(IMAGE.descriptor.digest);
  return JSON.parse(Buffer.from(manifest?.bytes ?? "").toString()).config.digest;
}
