import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { link, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Descriptor, type Digest, digestOf, hostPlatform, MEDIA_TYPE } from "@stowage/content";
import type { LayerID, Store } from "@stowage/store";
import { hasPeer, tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

import { openWorld } from "./support/store-world.ts";
import { snapshotTree } from "./support/tree-snapshot.ts";

const run = promisify(execFile);
const NAME = "localhost/debian:1";
const REAL = ["/etc", "/usr/sbin", "/usr/lib/systemd", "/usr/share/perl5"];
const NEEDED = ["tar", "umoci", "setcap", "setfattr"];
const WHY_NOT = process.getuid?.() === 0 ? NEEDED.filter((name) => !hasPeer(name)) : ["root"];

test.skipIf(WHY_NOT.length > 0)(
  `a real Debian root is, entry by entry, what umoci and GNU tar make of it${WHY_NOT.length > 0 ? ` (needs ${WHY_NOT.join()})` : ""}`,
  async () => {
    await using world = await openWorld();
    await using folder = await tempDir();
    const base = join(folder.path, "base");
    const top = join(folder.path, "top");
    await makeBase(base);
    await makeTop(top);
    const layers = [await pack(base, "--gzip"), await pack(top, "--gzip")];
    const { id, layerIDs } = await putImage(world.store, layers);

    const extracted = join(folder.path, "extracted");
    await mkdir(extracted);
    await run("tar", [
      "--extract",
      "--file",
      layers[0]?.path ?? "",
      "--directory",
      extracted,
      "--xattrs",
      "--xattrs-include=*",
      "--same-owner",
      "--preserve-permissions",
      "--numeric-owner",
    ]);
    const entries = snapshotTree(world.store.layers.diffPath(layerIDs[0] as LayerID));
    expect(Object.keys(entries).length).toBeGreaterThan(2000);
    expect(entries).toEqual(snapshotTree(extracted));

    const bundle = join(folder.path, "bundle");
    await run("umoci", ["unpack", "--image", `${world.root}:${NAME}`, bundle]);
    const { mountPoint } = await world.store.mounts.mountImage(id);
    expect(snapshotTree(mountPoint)).toEqual(snapshotTree(join(bundle, "rootfs")));
    await world.store.mounts.unmountImage(id);
  },
);

async function makeBase(base: string): Promise<void> {
  for (const source of REAL) {
    const target = join(base, source);
    await mkdir(target, { recursive: true });
    await run("cp", ["--archive", `${source}/.`, target]);
  }
  const odd = join(base, "odd");
  await mkdir(odd, { mode: 0o2750 });
  await run("mknod", [join(odd, "null"), "c", "1", "3"]);
  await run("mknod", [join(odd, "loop"), "b", "7", "0"]);
  await run("mkfifo", [join(odd, "fifo")]);
  await run("cp", ["/bin/true", join(odd, "setuid")]);
  await run("chown", ["12:34", join(odd, "setuid")]);
  await run("chmod", ["6755", join(odd, "setuid")]);
  await run("cp", ["/bin/true", join(odd, "capable")]);
  await run("setcap", ["cap_net_raw+ep", join(odd, "capable")]);
  await run("setfattr", ["--name", "user.note", "--value", "0x00ff0a", join(odd, "capable")]);
  await link(join(odd, "setuid"), join(odd, "setuid-twin"));
  await link(join(odd, "setuid"), join(base, "etc/setuid-triplet"));
  await run("ln", ["--symbolic", "/nowhere/../at all", join(odd, "dangling")]);
  await writeFile(
    Buffer.concat([Buffer.from(`${odd}/`), Buffer.from([0xff, 0xfe, 0x20])]),
    "bytes",
  );
  await writeFile(join(odd, "n".repeat(255)), "long");
  await mkdir(join(base, "hidden/below"), { recursive: true });
  await writeFile(join(base, "hidden/below/file"), "to be hidden");
  await mkdir(join(base, "opaque"));
  await writeFile(join(base, "opaque/old"), "to be hidden");
  await writeFile(join(base, "becomes-directory"), "a file");
  await mkdir(join(base, "becomes-file/with"), { recursive: true });
  await run("touch", ["--date", "2001-02-03 04:05:06.123456789 UTC", odd]);
}

async function makeTop(top: string): Promise<void> {
  await mkdir(join(top, "etc"), { recursive: true });
  await writeFile(join(top, "etc/.wh.passwd"), "");
  await writeFile(join(top, ".wh.hidden"), "");
  await mkdir(join(top, "opaque"), { mode: 0o700 });
  await writeFile(join(top, "opaque/.wh..wh..opq"), "");
  await writeFile(join(top, "opaque/new"), "shows");
  await mkdir(join(top, "becomes-directory"));
  await writeFile(join(top, "becomes-directory/file"), "in it");
  await writeFile(join(top, "becomes-file"), "a file");
  await run("chown", ["5:6", join(top, "etc")]);
}

interface Packed {
  readonly path: string;
  readonly blob: Descriptor;
  readonly diffID: Digest;
}

async function pack(tree: string, ...how: readonly string[]): Promise<Packed> {
  const path = `${tree}.tar`;
  const words = [
    "--create",
    "--directory",
    tree,
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime",
    "--xattrs",
    "--xattrs-include=*",
    "--numeric-owner",
    "--sort=name",
  ];
  await run("tar", [...words, "--file", path, "."]);
  const diffID = await digestOfFile(path);
  const packed = `${path}.gz`;
  await run("tar", [...words, ...how, "--file", packed, "."]);
  await rm(path);
  const { size } = await stat(packed);
  return {
    path: packed,
    diffID,
    blob: { mediaType: MEDIA_TYPE.layerGzip, digest: await digestOfFile(packed), size },
  };
}

async function digestOfFile(path: string): Promise<Digest> {
  return digestOf(Buffer.concat(await Array.fromAsync(createReadStream(path))));
}

async function putImage(
  store: Store,
  layers: readonly Packed[],
): Promise<{ id: Digest; layerIDs: readonly LayerID[] }> {
  const layerIDs: LayerID[] = [];
  for (const { path, blob, diffID } of layers) {
    await store.blobs.write(blob, createReadStream(path));
    await using staged = await store.layers.stage(blob, diffID);
    layerIDs.push((await store.layers.commit(staged, layerIDs.at(-1))).id);
  }
  const put = async (mediaType: string, document: unknown): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(document));
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await store.blobs.write(descriptor, once(bytes));
    return descriptor;
  };
  const config = await put(MEDIA_TYPE.imageConfig, {
    ...hostPlatform(),
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ diffID }) => diffID) },
  });
  const mediaType = MEDIA_TYPE.imageManifest;
  const manifest = await put(mediaType, {
    schemaVersion: 2,
    mediaType,
    config,
    layers: layers.map(({ blob }) => blob),
  });
  await store.images.put({
    version: 1,
    id: config.digest,
    config,
    manifests: [{ manifest }],
    layers: layerIDs,
    created: new Date().toISOString(),
  });
  await store.images.setName(NAME, config.digest);
  return { id: config.digest, layerIDs };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
