import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Digest, type ImageManifest, parseManifest } from "@stowage/content";
import { copyBetween, type CopyResult, parseCopyLocation } from "@stowage/runtime-shim";
import { openPodmanStore } from "@stowage/store";
import {
  buildImage,
  type BuiltImage,
  hasPeer,
  type TarEntry,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { CAN_MOUNT, openRuntimeWorld, type RuntimeWorld } from "../support/runtime-world.ts";

const run = promisify(execFile);
const HAS_PEERS = CAN_MOUNT && hasPeer("podman") && hasPeer("skopeo");
const NAME = "localhost/app:1";

/** What archives of strangers have, beside plain files. */
const ENTRIES: readonly TarEntry[] = [
  { name: "./", type: "directory", mode: 0o755 },
  { name: "./etc/", type: "directory", mode: 0o700 },
  { name: "./etc/conf", content: "one\n", mtimeNs: 1_234_567_890_123_456_789n },
  { name: "./etc/hard", type: "hard-link", linkName: "./etc/conf" },
  { name: "etc/soft", type: "symlink", linkName: "/etc/conf" },
  { name: "suid", mode: 0o4755, uid: 7, gid: 8, content: "s" },
  { name: "null", type: "char-device", device: { major: 1, minor: 3 }, mode: 0o666 },
  { name: Buffer.from([0x6e, 0xff, 0xfe]), content: "no text\n" },
  { name: "noted", content: "x", xattrs: { "user.note": "kept" } },
  { name: "short", content: "long\n", pax: [["path", `deep/${"n".repeat(200)}/m`]] },
  { name: "big", content: Buffer.alloc(600_000, "0123456789abcdef!") },
];
const UPPER: readonly TarEntry[] = [
  { name: "etc/.wh.conf" },
  { name: "opaque/", type: "directory" },
  { name: "opaque/.wh..wh..opq" },
  { name: "etc/second", content: "upper\n" },
];
const LAYERS = [{ entries: ENTRIES }, { entries: UPPER }];
const PACKED = buildImage({ layers: LAYERS });
const DOCKER = buildImage({ layers: LAYERS, mediaTypes: "docker" });
const PLAIN = buildImage({ layers: LAYERS.map((layer) => ({ ...layer, compression: "none" })) });

describe.skipIf(!HAS_PEERS).each(["overlay", "vfs"])("podman's store (driver %s)", (driver) => {
  test.for([
    ["OCI", PACKED, "oci"],
    // skopeo reads no manifest of Docker's out of a layout.
    ["Docker's", DOCKER, "dir"],
  ] as const)(
    "%s image comes out as skopeo has it, its ID the same",
    async ([, image, transport]) => {
      await using world = await openRuntimeWorld();
      const { path } = world;
      await using podman = await fill(world, driver, image);
      const copied = await copy(world, `${podman.place}${NAME}`, `oci:${path}/out:it`);
      expect(copied.rewrittenFrom).toBe(image.descriptor.digest);
      expect(world.warnings.join()).toContain(image.descriptor.digest);
      const ours = await manifestOf(path, copied.digest);
      expect(ours.config.digest).toBe(manifestIn(image).config.digest);
      expect(ours.layers.map(({ digest }) => digest)).toEqual(podman.diffIDs);
      await skopeo("copy", `${podman.place}${NAME}`, `dir:${path}/theirs`);
      const theirs = parseManifest(await readFile(join(path, "theirs/manifest.json"))).document;
      // Whose media types say that they are packed still.
      const layers = ours.layers.map(({ digest, size }) => ({ digest, size }));
      expect(theirs).toMatchObject({ kind: "manifest", manifest: { config: ours.config, layers } });
      const there = transport === "oci" ? `oci:${path}/out:it` : `dir:${path}/shown`;
      if (transport === "dir") await copy(world, `${podman.place}${NAME}`, there);
      const shown = JSON.parse(await skopeo("inspect", there));
      expect(shown.Layers).toEqual(podman.diffIDs);
    },
  );

  test("an image that was never packed comes out with its digest", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await fill(world, driver, PLAIN);
    const { place } = podman;
    const digest = PLAIN.descriptor.digest;
    for (const name of [
      NAME,
      `localhost/app@${digest}`,
      `@${idOf(PLAIN)}`,
      idOf(PLAIN).slice(0, 12),
    ]) {
      const copied = await copy(world, `${place}${name}`, `oci:${world.path}/out:it`);
      expect([name, copied.digest, copied.rewrittenFrom]).toEqual([name, digest, undefined]);
    }
    expect(world.warnings).toEqual([]);
    for (const absent of [
      "localhost/app:2",
      `other/app@${digest}`,
      `@${"0".repeat(64)}`,
      "abcdef",
    ]) {
      const copying = copy(world, `${place}${absent}`, `oci:${world.path}/out:it`);
      await expect(copying).rejects.toMatchObject({ code: "ERR_STORE_IMAGE_NOT_FOUND" });
    }
  });

  test("an image goes into the store of ours, and from there to podman again", async () => {
    await using world = await openRuntimeWorld();
    const { path } = world;
    await using podman = await fill(world, driver, PACKED);
    const stored = await copy(world, `${podman.place}@${idOf(PACKED)}`, "store:localhost/app:1");
    const { id } = await world.runtime.images.requireImage(NAME);
    expect([id, stored.rewrittenFrom]).toEqual([
      `sha256:${idOf(PACKED)}`,
      PACKED.descriptor.digest,
    ]);
    await copy(world, `store:${NAME}`, `docker-archive:${path}/it.tar:localhost/back:1`);
    await podman.run("load", "--quiet", "--input", `${path}/it.tar`);
    const [shown] = JSON.parse(await podman.run("image", "inspect", "localhost/back:1"));
    expect(shown.Id).toBe(idOf(PACKED));
  });
});

describe.skipIf(!HAS_PEERS)("podman's store", () => {
  test("is read as a further store of another", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await fill(world, "overlay", PACKED);
    const own = join(world.path, "own");
    await mkdir(join(own, "overlay-images"), { recursive: true });
    const place = `containers-storage:[overlay@${own}+${own}/run:overlay.imagestore=${podman.root}]`;
    const copied = await copy(world, `${place}${NAME}`, `oci:${world.path}/out:it`);
    expect(copied.source).toBe(`${place}${NAME}`);
    expect((await manifestOf(world.path, copied.digest)).layers).toHaveLength(2);
  });

  test("gives nobody another digest than was asked for, and keeps no referrers", async () => {
    await using world = await openRuntimeWorld();
    await using podman = await fill(world, "vfs", PACKED);
    const { place } = podman;
    const { digest } = PACKED.descriptor;
    for (const [from, to, options] of [
      [`${place}${NAME}`, `store:localhost/app@${digest}`, {}],
      [`${place}${NAME}`, `oci:${world.path}/out`, { withReferrers: true }],
      [`oci:${world.path}/layout:it`, `${place}localhost/new:1`, { withReferrers: true }],
    ] as const) {
      await expect(copy(world, from, to, options)).rejects.toMatchObject({
        code: "ERR_RUNTIME_COPY_UNSUPPORTED",
      });
    }
  });

  test("keeps signatures of the manifest as it was pulled, and policies go by that", async () => {
    await using world = await openRuntimeWorld();
    const { path, options, runtime } = world;
    await writeOciLayout(join(path, "layout"), { it: PACKED });
    await skopeo("copy", `oci:${path}/layout:it`, `dir:${path}/signed`);
    const signature = Buffer.of(0x90, 1, 0);
    await writeFile(join(path, "signed/signature-1"), signature);
    const root = join(path, "podman");
    const place = `containers-storage:[vfs@${root}+${root}-run]`;
    await skopeo("copy", `dir:${path}/signed`, `${place}docker.io/library/app:1`);
    using store = await openPodmanStore({ graphRoot: root });
    const [record] = store.images;
    if (record === undefined) throw new Error("skopeo stored nothing");
    const image = await store.openImage(record);
    const { digest } = PACKED.descriptor;
    expect(await image.readSignatures(digest)).toEqual([signature]);
    const scopes = { [`[vfs@${root}]docker.io/library`]: [{ type: "insecureAcceptAnything" }] };
    const policy = { default: [{ type: "reject" }], transports: { "containers-storage": scopes } };
    await writeFile(options.policyPath ?? "", JSON.stringify(policy));
    const verdict = await runtime.explainPolicy(`${place}app:1`);
    expect(verdict).toMatchObject({
      allowed: true,
      image: `[vfs@${root}]docker.io/library/app:1`,
      manifestDigest: digest,
    });
    const byID = await runtime.explainPolicy(`${place}@${idOf(PACKED)}`);
    expect(byID).toMatchObject({ allowed: false, image: `[vfs@${root}]@${idOf(PACKED)}` });
  });
});

interface Podman extends AsyncDisposable {
  readonly root: string;
  /** `containers-storage:[…]` */
  readonly place: string;
  readonly diffIDs: readonly Digest[];
  run(...args: readonly string[]): Promise<string>;
}

/** A store of podman's with one image in it. */
async function fill(world: RuntimeWorld, driver: string, image: BuiltImage): Promise<Podman> {
  const { path } = world;
  const [root, runRoot] = [join(path, "podman"), join(path, "podman-run")];
  await writeOciLayout(join(path, "layout"), { it: image });
  const own = ["--root", root, "--runroot", runRoot, "--storage-driver", driver];
  const place = `containers-storage:[${driver}@${root}+${runRoot}]`;
  // As a folder, of which skopeo takes Docker's manifests, too.
  await copy(world, `oci:${path}/layout:it`, `dir:${path}/folder`);
  await skopeo("copy", `dir:${path}/folder`, `${place}${NAME}`);
  return {
    root,
    place,
    diffIDs: diffIDsOf(),
    run: async (...args) => (await run("podman", [...own, ...args])).stdout,
    async [Symbol.asyncDispose]() {
      // The driver overlay binds its directory to itself.
      for (const point of await world.mounts()) await run("umount", ["-l", point]);
    },
  };
}

function copy(
  { options }: RuntimeWorld,
  from: string,
  to: string,
  changes: object = {},
): Promise<CopyResult> {
  const locations = [parseCopyLocation(from), parseCopyLocation(to)] as const;
  return copyBetween(...locations, { ...options, ...changes });
}

async function skopeo(...args: readonly string[]): Promise<string> {
  return (await run("skopeo", ["--insecure-policy", ...args])).stdout;
}

async function manifestOf(path: string, digest: Digest): Promise<ImageManifest> {
  const bytes = await readFile(join(path, "out/blobs", digest.replace(":", "/")));
  const { document } = parseManifest(bytes);
  if (document.kind !== "manifest") throw new Error("an index");
  return document.manifest;
}

function manifestIn({ manifest }: BuiltImage): ImageManifest {
  const { document } = parseManifest(manifest);
  if (document.kind !== "manifest") throw new Error("an index");
  return document.manifest;
}

/** 64 hex digits. */
function idOf(image: BuiltImage): string {
  return manifestIn(image).config.digest.slice("sha256:".length);
}

function diffIDsOf(): readonly Digest[] {
  return manifestIn(PLAIN).layers.map(({ digest }) => digest);
}
