import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openStore } from "@stowage/store";
import { hasPeer, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { IS_ROOT, NEEDS_ROOT } from "../support/needs-root.ts";
import { rawTar } from "../support/raw-tar.ts";
import { makeImage, openWorld, storeImage } from "../support/store-world.ts";

describe("a store's directories", () => {
  test("V60 T17 are closed to others, whatever the umask and whoever made the root before", async () => {
    await using folder = await tempDir();
    const [root, runRoot] = [join(folder.path, "root"), join(folder.path, "run")];
    for (const path of [root, runRoot]) mkdirSync(path, { mode: 0o777 });
    const umask = process.umask(0);
    try {
      await using store = await openStore({ root, runRoot });
      const image = makeImage([{ name: "setuid", mode: 0o4755, body: "x" }]);
      await storeImage(store, image);
      const { id } = await store.containers.create({
        names: ["c"],
        metadata: "",
        topLayer: image.layerIDs[0],
      });
      const own = [
        root,
        runRoot,
        ...["blobs", "layers", "images", "containers", "staging", "trash"].map((name) =>
          join(root, name),
        ),
      ];
      for (const path of [
        ...own,
        join(root, "layers", image.layerIDs[0] ?? ""),
        join(root, "containers", id),
      ]) {
        expect(`${path} ${(statSync(path).mode & 0o7777).toString(8)}`).toBe(`${path} 700`);
      }
      const setuid = join(store.layers.diffPath(image.layerIDs[0] as never), "setuid");
      expect(statSync(setuid).mode & 0o7777).toBe(0o4755);
    } finally {
      process.umask(umask);
    }
  });

  test.skipIf(!IS_ROOT)(`V60 that belong to somebody else are refused${NEEDS_ROOT}`, async () => {
    await using folder = await tempDir();
    const root = join(folder.path, "root");
    mkdirSync(root);
    spawnSync("chown", ["1000", root]);
    const opened = openStore({ root, runRoot: join(folder.path, "run") });
    await expect(opened).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ROOT" });
  });

  test.for(["root", "run root"])(
    "V60 a %s where everybody may put files stays as it is",
    async (what) => {
      await using folder = await tempDir();
      const open = join(folder.path, "open");
      mkdirSync(open);
      chmodSync(open, 0o1777);
      const own = join(folder.path, "own");
      const opened = openStore(
        what === "root" ? { root: open, runRoot: own } : { root: own, runRoot: open },
      );
      await expect(opened).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ROOT" });
      expect(statSync(open).mode & 0o7777).toBe(0o1777);
    },
  );
});

describe("the process that unpacks", () => {
  test("V64 hands no descriptor to a program that it starts, and keeps none of a layer", async () => {
    await using world = await openWorld();
    const image = makeImage([{ name: "f", body: "x" }], [{ name: "g", body: "y" }]);
    await storeImage(world.store, image);
    const [layer] = image.layers;
    if (!layer) throw new Error("no layer");
    const before = openFilesIn(world.path);
    {
      await using _staged = await world.store.layers.stage(layer.blob, layer.diffID);
      const { stdout } = spawnSync("ls", ["-l", "/proc/self/fd"], { encoding: "utf8" });
      expect(stdout).not.toContain(world.path);
    }
    // What was open before may have been let go of meanwhile.
    expect(openFilesIn(world.path).filter((path) => !before.includes(path))).toEqual([]);
    await using bench = await openLayerBench();
    await bench.refusalOf(rawTar({ name: "a/b" }, { name: "f", body: "x" }, { name: "f/x" }));
    expect(openFilesIn(bench.directory)).toEqual([]);
  });

  test.skipIf(!hasPeer("strace"))(
    `V42 starts no program and loads no library, whatever an image has of either${hasPeer("strace") ? "" : " (needs strace)"}`,
    async () => {
      await using folder = await tempDir();
      const [blobPath, diffDir] = [join(folder.path, "blob"), join(folder.path, "diff")];
      const trap = `#!/bin/sh\ntouch ${folder.path}/sprung\n`;
      const names = [
        "usr/bin/xz",
        "usr/bin/unpigz",
        "usr/bin/gzip",
        "bin/sh",
        "lib/libnss_files.so.2",
        "etc/nsswitch.conf",
      ];
      writeFileSync(blobPath, rawTar(...names.map((name) => ({ name, mode: 0o755, body: trap }))));
      mkdirSync(diffDir);
      const log = join(folder.path, "strace");
      const script = join(import.meta.dirname, "../support/unpack-one.ts");
      const { status } = spawnSync("strace", [
        "-f",
        "-qq",
        "-o",
        log,
        "-e",
        "trace=execve,execveat,fork,vfork",
        process.execPath,
        "--conditions=@stowage/source",
        script,
        blobPath,
        diffDir,
      ]);
      expect(status).toBe(0);
      const calls = spawnSync("grep", ["-cE", "execve|fork", log], { encoding: "utf8" }).stdout;
      expect(Number(calls)).toBe(1);
      expect(readdirSync(folder.path)).not.toContain("sprung");
    },
  );
});

describe("two layers", () => {
  test.skipIf(!IS_ROOT)(
    `T11 V45 V48 see nothing of each other: no link of one is followed or found by the other${NEEDS_ROOT}`,
    async () => {
      await using bench = await openLayerBench();
      const link = bench.canary;
      const planted = rawTar({ name: "d", type: "2", link }, { name: "f", body: "lower" });
      const through = rawTar({ name: "d/x", body: "x" }, { name: "d/.wh.file" });
      const hard = rawTar({ name: "h", type: "1", link: "f" });
      const [, upper, linked] = await Promise.allSettled([
        bench.unpack(planted),
        bench.unpack(through),
        bench.unpack(hard),
      ]);
      expect(upper).toMatchObject({ status: "fulfilled" });
      expect(linked).toMatchObject({ reason: { code: "ERR_STORE_INVALID_LAYER" } });
    },
  );
});

function openFilesIn(directory: string): readonly string[] {
  const files = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The one that listed them.
      return [];
    }
  });
  // When an image was last used is made durable in the background.
  const lasting = files.filter((file) => !file.endsWith("/last-used"));
  return lasting.filter((file) => file.includes(directory)).toSorted();
}
