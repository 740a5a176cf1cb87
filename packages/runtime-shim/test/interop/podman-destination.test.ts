import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import { parseManifest } from "@stowage/content";
import { openPodmanStore } from "@stowage/store";
import {
  buildImage,
  buildIndex,
  hasPeer,
  startDockerRegistry,
  type TarEntry,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  idOf,
  manifestIn,
  openPodman,
  pathOf,
  type PodmanStore,
  withFirstLayer,
} from "../support/podman-store.ts";
import { CAN_MOUNT, openRuntimeWorld } from "../support/runtime-world.ts";

const PEERS = ["podman", "skopeo", "docker-registry"];
const HAS_PEERS = CAN_MOUNT && PEERS.every((name) => hasPeer(name));
const NAME = "localhost/team/app:1";

const BASE: readonly TarEntry[] = [
  { name: "etc/", type: "directory", mode: 0o755 },
  { name: "etc/conf", content: "base\n" },
  { name: "etc/gone", content: "base\n" },
  { name: "suid", mode: 0o4755, uid: 7, gid: 8, content: "s" },
];
const UPPER: readonly TarEntry[] = [
  { name: "etc/.wh.gone" },
  { name: "etc/conf", content: "upper\n" },
];
const LAYERS = [{ entries: BASE }, { entries: UPPER }];
const OCI = buildImage({ layers: LAYERS, config: { Cmd: ["/suid"] } });
const DOCKER = buildImage({ layers: LAYERS, mediaTypes: "docker", config: { Cmd: ["/docker"] } });
const ZSTD = buildImage({
  layers: LAYERS.map((one) => ({ ...one, compression: "zstd" as const })),
});
const S390X = { os: "linux", architecture: "s390x" };
const OTHER = buildImage({ layers: LAYERS, platform: S390X });

describe.skipIf(!HAS_PEERS)("a copy to podman's store", () => {
  test.for(["overlay", "vfs"])(
    "(driver %s) is the image of the registry, its ID, digest and files the same, and comes out again",
    async (driver) => {
      await using world = await openRuntimeWorld();
      await using podman = await openPodman(world, driver);
      await using registry = await startDockerRegistry();
      const layout = join(world.path, "layout");
      await writeOciLayout(layout, { it: buildIndex([OTHER, OCI]) });
      await podman.copy(`oci:${layout}:it`, `docker://${registry.host}/app:1`);
      const copied = await podman.copy(`docker://${registry.host}/app:1`, podman.place + NAME);
      expect(copied).toMatchObject({ digest: OCI.descriptor.digest, blobs: { uploaded: 3 } });
      expect(await podman.images()).toEqual({ [NAME]: [idOf(OCI), OCI.descriptor.digest] });
      const root = (await podman.run("image", "mount", NAME)).trim();
      expect(await readFile(join(root, "etc/conf"), "utf8")).toBe("upper\n");
      await expect(readFile(join(root, "etc/gone"))).rejects.toMatchObject({ code: "ENOENT" });
      await podman.run("image", "unmount", NAME);
      const out = await podman.copy(podman.place + NAME, `dir:${world.path}/out`);
      expect(out.rewrittenFrom).toBe(OCI.descriptor.digest);
      const back = parseManifest(await readFile(join(world.path, "out/manifest.json"))).document;
      const unpacked = buildImage({
        layers: LAYERS.map((layer) => ({ ...layer, compression: "none" })),
      });
      expect(back).toMatchObject({
        kind: "manifest",
        manifest: {
          config: { digest: manifestIn(OCI).config.digest },
          layers: manifestIn(unpacked).layers.map(({ digest }) => ({ digest })),
        },
      });
      expect(await podman.spooled()).toEqual([]);
    },
  );

  test("is of the platform that is asked for, in Docker's words as well, and packed by zstd", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await openPodman(world, "vfs");
    const layout = join(world.path, "layout");
    const index = buildIndex([OTHER, OCI]);
    await writeOciLayout(layout, { docker: DOCKER, zstd: ZSTD, index });
    const platforms = [S390X];
    await podman.copy(`oci:${layout}:index`, `${podman.place}app:s390x`, { platforms });
    const several = podman.copy(`oci:${layout}:index`, `${podman.place}app:all`, {
      platforms: [S390X, { ...S390X, architecture: "amd64" }],
    });
    await expect(several).rejects.toMatchObject({ code: "ERR_RUNTIME_COPY_UNSUPPORTED" });
    await podman.copy(`oci:${layout}:docker`, `${podman.place}app:docker`);
    await podman.copy(`oci:${layout}:zstd`, `${podman.place}app:zstd`);
    expect(await podman.images()).toEqual({
      "docker.io/library/app:docker": [idOf(DOCKER), DOCKER.descriptor.digest],
      "docker.io/library/app:s390x": [idOf(OTHER), OTHER.descriptor.digest],
      "docker.io/library/app:zstd": [idOf(ZSTD), ZSTD.descriptor.digest],
    });
  });

  test.for(["podman", "buildah"].filter((name) => hasPeer(name)))(
    "is made by %s where that is what there is",
    async (program) => {
      await using world = await openRuntimeWorld();
      await using podman = await openPodman(world, "vfs");
      const path = await pathOf(world, program);
      const layout = join(world.path, "layout");
      await writeOciLayout(layout, { oci: OCI, docker: DOCKER });
      for (const name of ["oci", "docker"]) {
        await podman.copy(`oci:${layout}:${name}`, `${podman.place}app:${name}`, { path });
      }
      expect(await podman.images()).toEqual({
        "docker.io/library/app:oci": [idOf(OCI), OCI.descriptor.digest],
        "docker.io/library/app:docker": [idOf(DOCKER), DOCKER.descriptor.digest],
      });
    },
  );

  test("asks for nothing and changes nothing where the image has its name already", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await openPodman(world, "vfs");
    const layout = join(world.path, "layout");
    await writeOciLayout(layout, { it: OCI, other: DOCKER });
    await podman.copy(`oci:${layout}:it`, podman.place + NAME);
    const before = await recordsOf(podman);
    const again = await podman.copy(`oci:${layout}:it`, podman.place + NAME);
    expect(again).toMatchObject({ digest: OCI.descriptor.digest, bytes: 0 });
    expect(again.blobs).toEqual({ existed: 0, mounted: 0, uploaded: 0 });
    expect(await recordsOf(podman)).toBe(before);
    await podman.copy(`oci:${layout}:other`, podman.place + NAME);
    expect((await podman.images())[NAME]?.[0]).toBe(idOf(DOCKER));
    await podman.copy(`oci:${layout}:it`, podman.place + NAME);
    expect((await podman.images())[NAME]?.[0]).toBe(idOf(OCI));
  });

  test("goes on beside others and podman itself at the same store", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await openPodman(world, "overlay");
    const names = ["a", "b", "c", "d"];
    const images = names.map((name) =>
      buildImage({ layers: [...LAYERS, { entries: [{ name, content: name }] }] }),
    );
    const layout = join(world.path, "layout");
    await writeOciLayout(layout, Object.fromEntries(images.map((one, at) => [`${at}`, one])));
    const archive = join(world.path, "a.tar");
    await podman.copy(`oci:${layout}:0`, `docker-archive:${archive}:localhost/a:1`);
    const copies = names
      .slice(1)
      .map((name, at) =>
        podman.copy(`oci:${layout}:${at + 1}`, `${podman.place}localhost/${name}:1`),
      );
    await Promise.all([podman.run("load", "--input", archive), podman.images(), ...copies]);
    const stored = await podman.images();
    expect(names.map((name) => stored[`localhost/${name}:1`]?.[0])).toEqual(images.map(idOf));
  });

  test("that is given up while skopeo is at it ends skopeo, and leaves no name", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await openPodman(world, "vfs");
    const layout = join(world.path, "layout");
    await writeOciLayout(layout, { it: OCI, other: DOCKER });
    await podman.copy(`oci:${layout}:other`, `${podman.place}app:other`);
    const aborting = new AbortController();
    {
      await using _held = await holdLayers(podman.root);
      const { signal } = aborting;
      const copying = podman.copy(`oci:${layout}:it`, podman.place + NAME, { signal });
      const ended = expect(copying).rejects.toBe("given up");
      await expect.poll(() => programsAt(podman), { timeout: 20_000 }).toHaveLength(1);
      aborting.abort("given up");
      await ended;
      expect(await programsAt(podman)).toEqual([]);
    }
    expect(Object.keys(await podman.images())).toEqual(["docker.io/library/app:other"]);
    expect(await podman.spooled()).toEqual([]);
    await podman.copy(`oci:${layout}:it`, podman.place + NAME);
    expect((await podman.images())[NAME]?.[0]).toBe(idOf(OCI));
  });

  test("asks nobody for what a layer's URLs name, whoever makes it", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await openPodman(world, "vfs");
    const asked: unknown[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.writeHead(404).end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}/layer`];
    const [first] = manifestIn(OCI).layers;
    const mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    const images = {
      named: withFirstLayer(OCI, { urls }),
      foreign: withFirstLayer(OCI, { urls, mediaType }, first?.digest),
    };
    const layout = join(world.path, "layout");
    await writeOciLayout(layout, images);
    const copied = await podman.copy(`oci:${layout}:named`, podman.place + NAME);
    expect(copied.digest).toBe(images.named.descriptor.digest);
    const path = await pathOf(world, "podman");
    const other = `${podman.place}localhost/other:1`;
    const refused = { code: "ERR_RUNTIME_COPY_UNSUPPORTED" };
    for (const [name, changes] of [
      ["named", { path }],
      ["foreign", {}],
      ["foreign", { path }],
    ] as const) {
      await expect(podman.copy(`oci:${layout}:${name}`, other, changes)).rejects.toMatchObject(
        refused,
      );
    }
    expect(Object.keys(await podman.images())).toEqual([NAME]);
    expect(asked).toEqual([]);
    server.close();
    expect(await podman.spooled()).toEqual([]);
  });

  test("goes to the store that storage.conf names, by a name and by nothing else", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await openPodman(world, "vfs");
    const layout = join(world.path, "layout");
    await writeOciLayout(layout, { it: OCI });
    const conf = join(world.path, "storage.conf");
    const lines = [
      'driver = "vfs"',
      `graphroot = "${podman.root}"`,
      `runroot = "${podman.root}-run"`,
    ];
    await writeFile(conf, ["[storage]", ...lines, ""].join("\n"));
    const env = { CONTAINERS_STORAGE_CONF: conf };
    await podman.copy(`oci:${layout}:it`, "containers-storage:cafe:1", { env });
    expect(Object.keys(await podman.images())).toEqual(["docker.io/library/cafe:1"]);
    const { digest } = OCI.descriptor;
    for (const place of [`@${idOf(OCI)}`, idOf(OCI), `app@${digest}`, `app:1@${idOf(OCI)}`]) {
      const copying = podman.copy(`oci:${layout}:it`, `containers-storage:${place}`, { env });
      await expect(copying).rejects.toMatchObject({ code: "ERR_RUNTIME_COPY_UNSUPPORTED" });
    }
    await writeFile(conf, ["[storage]", 'driver = "btrfs"', ...lines.slice(1), ""].join("\n"));
    const unread = podman.copy(`oci:${layout}:it`, "containers-storage:app:1", { env });
    await expect(unread).rejects.toMatchObject({ code: "ERR_RUNTIME_COPY_UNSUPPORTED" });
  });
});

function recordsOf({ root }: PodmanStore): Promise<string> {
  return readFile(join(root, "vfs-images/images.json"), "utf8");
}

/** Keeps everybody from writing layers, as a reader does for as long as it reads one. */
async function holdLayers(graphRoot: string): Promise<AsyncDisposable> {
  const store = await openPodmanStore({ graphRoot });
  const [record] = store.images;
  if (record === undefined) throw new Error("the store has no image");
  const image = await store.openImage(record);
  const [layer] = image.layers;
  if (layer === undefined) throw new Error("the image has no layer");
  const reading = image.openLayer(layer)[Symbol.asyncIterator]();
  await reading.next();
  return {
    async [Symbol.asyncDispose]() {
      await reading.return?.();
      store[Symbol.dispose]();
    },
  };
}

/** What runs with a path of the spool among its arguments. */
async function programsAt({ spool }: PodmanStore): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes(`dir:${spool}`)) found.push(pid);
  }
  return found;
}
