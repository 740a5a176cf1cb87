import { execFile, spawnSync } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";

import { createMemoryContentStore, digestOf, encodedOf } from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";
import {
  buildImage,
  createTar,
  diffTrees,
  hasPeer,
  hostShellEntries,
  putImage,
  snapshotTree,
  type TarEntry,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { CAN_MOUNT, openRuntimeWorld, type RuntimeWorld } from "../support/runtime-world.ts";

const run = promisify(execFile);
const HAS_PODMAN = CAN_MOUNT && hasPeer("podman") && hasPeer("runc");
const RUN = [
  "run",
  "--network=none",
  "--cgroups=no-conmon",
  "--log-driver=none",
  // Those that it would set may be over what this process may have.
  "--ulimit=nofile=256:256",
  "--ulimit=nproc=256:256",
];
const CHILD = "localhost/child:1";

/** What archives of strangers have, beside plain files. */
const ODD_ENTRIES: readonly TarEntry[] = [
  { name: "etc/", type: "directory", mode: 0o755 },
  { name: "etc/gone", content: "below\n" },
  { name: "etc/conf", content: "one\n", mtimeNs: 1_234_567_890_123_456_789n },
  { name: "etc/hard", type: "hard-link", linkName: "etc/conf" },
  { name: "etc/soft", type: "symlink", linkName: "/etc/conf" },
  { name: "suid", mode: 0o4755, uid: 7, gid: 8, content: "s" },
  { name: "null", type: "char-device", device: { major: 1, minor: 3 }, mode: 0o666 },
  { name: "pipe", type: "fifo" },
  { name: Buffer.from([0x6e, 0xff, 0xfe]), content: "no text\n" },
  {
    name: "noted",
    content: "x",
    xattrs: { "user.note": "kept", "security.capability": CAPABILITY() },
  },
  {
    name: "short",
    content: "long\n",
    pax: [["path", `deep/${"n".repeat(200)}/${"m".repeat(180)}`]],
  },
  { name: "big", content: Buffer.alloc(600_000, "0123456789abcdef!") },
  { name: "twice", content: "first, which nothing has\n" },
  { name: "twice", content: "last\n" },
  { name: "way", type: "symlink", linkName: "etc" },
  { name: "way/through", content: "by a link\n" },
];
const UPPER_ENTRIES: readonly TarEntry[] = [
  { name: "etc/.wh.gone" },
  { name: "etc/.wh.odd", content: "a whiteout with content" },
  { name: "opaque/", type: "directory" },
  { name: "opaque/.wh..wh..opq" },
  { name: "/absolute/../etc/../second", content: "upper\n" },
];

function CAPABILITY(): Buffer {
  return Buffer.from("0100000200000400000000000000000000000000", "hex");
}

/** Images in a store, the registry that they came from, and a podman of its own. */
interface PodmanWorld extends AsyncDisposable {
  readonly world: RuntimeWorld;
  readonly image: string;
  readonly diffIDs: readonly string[];
  readonly directory: string;
  podman(...args: string[]): Promise<string>;
}

async function openPodmanWorld(): Promise<PodmanWorld> {
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  const server = createRegistryServer({ content, tags });
  const { host } = await server.listen();
  const tars = [hostShellEntries(), ODD_ENTRIES, UPPER_ENTRIES].map((entries) =>
    createTar(entries),
  );
  const built = buildImage({
    layers: tars.map((tar, at) => ({ tar, compression: at === 1 ? "zstd" : "gzip" })),
    config: { Cmd: ["/bin/sh", "-c", "cat /etc/conf /second"], Env: ["PATH=/bin"] },
  });
  await tags.put("app", await putImage(content, built), "1");
  const world = await openRuntimeWorld();
  const directory = join(world.path, "exports");
  const podman = async (...args: string[]): Promise<string> => {
    const all = [
      `--root=${join(world.path, "podman")}`,
      `--runroot=${join(world.path, "podman-run")}`,
      `--tmpdir=${join(world.path, "podman-tmp")}`,
      "--storage-driver=overlay",
      `--storage-opt=additionalimagestore=${directory}`,
      "--cgroup-manager=cgroupfs",
      "--events-backend=none",
      "--runtime=runc",
      ...args,
    ];
    return (await run("podman", all)).stdout.trim();
  };
  return {
    world,
    image: `${host}/app:1`,
    diffIDs: tars.map((tar) => digestOf(tar)),
    directory,
    podman,
    async [Symbol.asyncDispose]() {
      await podman("rm", "--all", "--force").catch(() => {});
      // It keeps its own storage mounted.
      for (const point of (await world.mounts()).toReversed()) spawnSync("umount", ["-l", point]);
      await world[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe.skipIf(!HAS_PODMAN)("podman on an export (needs root, podman and runc)", () => {
  test("lists, inspects, runs, pushes, commits and pulls our images, and has no layer of its own", async () => {
    await using it = await openPodmanWorld();
    const { world, image, directory, podman, diffIDs } = it;
    const { store, images } = world.runtime;
    await images.pull(image);
    const before = treeOf(world);
    const exported = await store.exportPodman(directory);
    expect(exported).toMatchObject({ directory, layers: 3 });
    const id = encodedOf(exported.images[0] ?? digestOf(new Uint8Array()));
    const after = treeOf(world);

    expect(
      await podman(
        "images",
        "--no-trunc",
        "--format={{.ID}} {{.Repository}}:{{.Tag}} {{.ReadOnly}}",
      ),
    ).toBe(`sha256:${id} ${image} true`);
    const [inspected] = JSON.parse(await podman("inspect", image));
    expect(inspected.RootFS.Layers).toEqual(diffIDs);
    expect(await podman(...RUN, "--rm", image)).toBe("one\nupper");
    expect(await podman(...RUN, "--rm", image, "ls", "/etc")).not.toContain("gone");
    expect(await podman(...RUN, "--rm", image, "cat", "/twice", "/way/through")).toBe(
      "last\nby a link",
    );
    const mapped = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"];
    expect(await podman(...RUN, "--rm", ...mapped, image, "ls", "-ln", "/second")).toMatch(
      / 0 +0 /,
    );

    for (const transport of ["oci", "dir"]) {
      const out = join(world.path, transport);
      await podman("push", image, transport === "oci" ? `oci:${out}:it` : `dir:${out}`);
      const blobs = transport === "oci" ? join(out, "blobs/sha256") : out;
      expect(await archivesIn(blobs)).toEqual(expect.arrayContaining([...diffIDs]));
      await rm(out, { recursive: true });
    }

    await podman(...RUN, "--name=box", image, "/bin/sh", "-c", "echo more >>/etc/conf");
    await podman("commit", "--quiet", "box", CHILD);
    // One for the child, one for the container that it was made from.
    expect(await ownLayers(world)).toHaveLength(2);
    const cat = ["cat", "/etc/conf", "/second"];
    expect(await podman(...RUN, "--rm", CHILD, ...cat)).toBe("one\nmore\nupper");
    await podman("rm", "box");
    await podman("rmi", CHILD);
    await podman("pull", "--quiet", "--tls-verify=false", image);
    expect(await ownLayers(world)).toEqual([]);

    // What the export adds stands beside the layers; podman has changed none of it.
    expect(diffTrees(after, treeOf(world))).toEqual([]);
    expect(
      diffTrees(before, after).every((line) => /link|lower|layers|leases|locks|staging/.test(line)),
    ).toBe(true);
    expect((await store.check({ deep: true })).damages).toEqual([]);
  });
});

function treeOf(world: RuntimeWorld): ReturnType<typeof snapshotTree> {
  return snapshotTree(world.options.root);
}

/** The layers in podman's own storage. */
async function ownLayers(world: RuntimeWorld): Promise<readonly string[]> {
  const names = await readdir(join(world.path, "podman/overlay"));
  return names.filter((name) => /^[0-9a-f]{64}$/.test(name));
}

/** The digests of all files, unpacked where they are packed. */
async function archivesIn(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory);
  return await Promise.all(
    names.map(async (name) => {
      const bytes = await readFile(join(directory, name));
      return digestOf(bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes);
    }),
  );
}
