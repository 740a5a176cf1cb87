import { spawn, spawnSync } from "node:child_process";
import { once as eventOf } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { makeImage, openWorld, storeImage } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

describe("openStore", () => {
  test("makes directories that only their owner can enter", async () => {
    await using world = await openWorld();
    for (const path of [world.root, world.runRoot]) {
      expect(statSync(path).mode & 0o777).toBe(0o700);
      for (const entry of readdirSync(path, { withFileTypes: true, recursive: true })) {
        if (!entry.isDirectory()) continue;
        expect(statSync(join(entry.parentPath, entry.name)).mode & 0o777).toBe(0o700);
      }
    }
    expect(JSON.parse(readFileSync(join(world.root, "oci-layout"), "utf8"))).toEqual({
      imageLayoutVersion: "1.0.0",
    });
    expect(JSON.parse(readFileSync(join(world.root, "version.json"), "utf8"))).toEqual({
      version: 1,
    });
    expect(JSON.parse(readFileSync(join(world.root, "index.json"), "utf8")).manifests).toEqual([]);
  });

  test("A02: refuses roots that can be no store's", async () => {
    await using world = await openWorld();
    const runRoot = join(world.path, "other-run");
    const link = join(world.path, "link");
    symlinkSync(world.root, link);
    const file = join(world.path, "file");
    writeFileSync(file, "");
    // Somebody else's, as `/etc` is.
    const foreign = join(world.path, "foreign");
    mkdirSync(foreign);
    chmodSync(foreign, 0o755);
    writeFileSync(join(foreign, "passwd"), "");
    for (const root of ["", "/", "/../", "relative/root", foreign, runRoot, link, file, "/a\0b"]) {
      const opened = openStore({ root, runRoot });
      await expect(opened, root).rejects.toMatchObject({
        code: "ERR_STORE_INVALID_ROOT",
        kind: "InvalidArgument",
      });
    }
    const root = join(world.path, "new");
    for (const bad of ["", "/", "run", foreign, join(root, "run"), root]) {
      const opened = openStore({ root, runRoot: bad });
      await expect(opened, bad).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ROOT" });
    }
    const inside = openStore({ root: join(world.root, "layers/inner"), runRoot });
    await expect(inside).rejects.toMatchObject({ code: "ERR_STORE_INVALID_ROOT" });
    expect(existsSync(root)).toBe(false);
    expect([readdirSync(foreign), statSync(foreign).mode & 0o777]).toEqual([["passwd"], 0o755]);
  });

  test("K13: refuses a layout of a later version, and changes nothing", async () => {
    await using world = await openWorld();
    const file = join(world.root, "version.json");
    writeFileSync(file, '{"version":2,"unheardOf":true}');
    const opened = openStore(world);
    await expect(opened).rejects.toMatchObject({ code: "ERR_STORE_UNSUPPORTED_VERSION" });
    expect(readFileSync(file, "utf8")).toBe('{"version":2,"unheardOf":true}');
  });

  test.each(["{", "{}", "[]", '{"version":"2"}', '{"version":1} and more', "v2"])(
    "K13: refuses a root whose version can not be told (%j), and changes nothing",
    async (text) => {
      await using world = await openWorld();
      await storeImage(world.store, makeImage([{ name: "file", body: "x" }]), "app:1");
      const file = join(world.root, "version.json");
      writeFileSync(file, text);
      await expect(openStore(world)).rejects.toMatchObject({
        code: "ERR_STORE_CORRUPT",
        message: expect.stringContaining(file),
        hint: expect.stringContaining("remove that file"),
      });
      expect(readFileSync(file, "utf8")).toBe(text);
      rmSync(file);
      await using store = await openStore(world);
      expect((await store.images.list()).images).toHaveLength(1);
      expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ version: 1 });
    },
  );

  test("R20, K06, K10: never fails because of what a crash left", async () => {
    await using world = await openWorld();
    const image = makeImage([{ name: "file", body: "x" }]);
    await storeImage(world.store, image, "app:1");
    const random = "c".repeat(32);
    const leave = (path: string, text: string | Buffer): void => {
      const file = join(world.root, path);
      mkdirSync(join(file, ".."), { recursive: true });
      rmSync(file, { recursive: true, force: true });
      writeFileSync(file, text);
    };
    leave("version.json", "\0".repeat(14));
    leave("oci-layout", "");
    leave("index.json", "\0\0\0\0");
    leave(`staging/${random}/deep/er/file`, "half");
    leave(`staging/${random}.lock`, "");
    leave("staging/stray", "");
    leave(`staging/${"d".repeat(32)}.lock/is/a/directory`, "");
    leave(`trash/${random}/deep/er/file`, "old");
    leave(`trash/${"e".repeat(32)}.json`, "\0");
    leave(`leases/${random}.json`, "");
    mkdirSync(join(world.root, "leases", "directory"));
    leave("ingest/half/data", "half");
    leave("names/.tmp-1", "x");
    leave(`names/${"0".repeat(64)}.json`, "");
    mkdirSync(join(world.root, "images", "1".repeat(64)));
    mkdirSync(join(world.root, "layers", "1".repeat(64)));
    mkdirSync(join(world.root, "containers", "1".repeat(64)));
    mkdirSync(join(world.runRoot, "mounts", "1".repeat(64)));
    rmSync(join(world.root, "locks"), { recursive: true });
    mkdirSync(join(world.root, "locks", "gc.lock"), { recursive: true });
    await using store = await openStore(world);
    expect(await store.images.resolveName("app:1")).toBe(image.id);
    expect((await store.images.list()).images).toHaveLength(1);
    expect((await store.containers.list()).containers).toEqual([]);
    expect(await store.mounts.list()).toEqual([]);
    expect(existsSync(join(world.root, "staging", random))).toBe(false);
    expect(readdirSync(join(world.root, "trash"))).not.toContain(random);
    await store.images.remove(image.id);
    await storeImage(store, image, "app:1");
    await store.info();
  });

  test("R20: finishes what a removal that was cut off left to do", async () => {
    await using world = await openWorld();
    const image = makeImage([{ name: "file", body: "x" }]);
    await storeImage(world.store, image);
    const note = { version: 1, blobs: [...image.bytes.keys()], layers: image.layerIDs };
    writeFileSync(join(world.root, "trash", `${"a".repeat(32)}.json`), JSON.stringify(note));
    {
      await using store = await openStore(world);
      expect((await store.info()).layers).toBe(1);
    }
    rmSync(join(world.root, "images", image.id.slice("sha256:".length)), { recursive: true });
    writeFileSync(join(world.root, "trash", `${"a".repeat(32)}.json`), JSON.stringify(note));
    await using store = await openStore(world);
    expect(await store.info()).toMatchObject({ layers: 0, blobs: 0, images: 0 });
  });

  test("R20: clears away what is left of a download whose bytes are in their place", async () => {
    await using world = await openWorld();
    const ingest = join(world.root, "ingest");
    const [finished, begun] = ["a".repeat(64), "b".repeat(64)];
    for (const key of [finished, begun]) {
      mkdirSync(join(ingest, key));
      writeFileSync(join(ingest, `${key}.lock`), "");
      writeFileSync(join(ingest, key, "meta.json"), "{}");
    }
    writeFileSync(join(ingest, begun, "data"), "half");
    await using _store = await openStore(world);
    expect(readdirSync(ingest).toSorted()).toEqual([begun, `${begun}.lock`]);
  });

  test("R20: takes the names of an image that a removal had taken away before it was cut off", async () => {
    await using world = await openWorld();
    const image = makeImage([{ name: "file", body: "x" }]);
    await storeImage(world.store, image, "app:1");
    await world.store.images.setName("app:2", image.id);
    const note = { version: 1, blobs: [], layers: [], images: [image.id] };
    const path = join(world.root, "trash", `${"a".repeat(32)}.json`);
    writeFileSync(path, JSON.stringify(note));
    {
      await using store = await openStore(world);
      expect(await store.images.namesOf(image.id)).toEqual(["app:2", "app:1"]);
    }
    rmSync(join(world.root, "images", image.id.slice("sha256:".length)), { recursive: true });
    writeFileSync(path, JSON.stringify(note));
    await using store = await openStore(world);
    expect(readdirSync(join(world.root, "names"))).toEqual([]);
    expect((await store.check()).damages).toEqual([]);
  });

  test("K09: waits for a layout that is being changed, and then says who does", async () => {
    await using world = await openWorld();
    await world.store[Symbol.asyncDispose]();
    const lock = join(world.root, "locks/store.lock");
    const holder = spawn(
      process.execPath,
      ["--conditions=@stowage/source", join(import.meta.dirname, "support/hold-lock.ts"), lock],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    await eventOf(holder.stdout, "data");
    const controller = new AbortController();
    const reason = new Error("enough");
    const opened = openStore({ ...world, signal: controller.signal });
    controller.abort(reason);
    await expect(opened).rejects.toBe(reason);
    const waiting = openStore(world);
    holder.kill("SIGKILL");
    await using store = await waiting;
    expect(store.root).toBe(world.root);
  });

  test.skipIf(!IS_ROOT)(
    `D13: refuses a root of which a part lies on another file system${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      await storeImage(world.store, makeImage([{ name: "file", body: "x" }]), "app:1");
      const layers = join(world.root, "layers");
      expect(spawnSync("mount", ["-t", "tmpfs", "-o", "mode=0700", "none", layers]).status).toBe(0);
      try {
        await expect(openStore(world)).rejects.toMatchObject({
          code: "ERR_STORE_INVALID_ROOT",
          message: expect.stringContaining(layers),
        });
        expect(readdirSync(layers)).toEqual([]);
      } finally {
        spawnSync("umount", [layers]);
      }
      await using again = await openStore(world);
      expect((await again.check()).damages).toEqual([]);
    },
  );

  test("D09: is a named error when the process is out of descriptors", async () => {
    await using world = await openWorld();
    const script = join(import.meta.dirname, "support/exhaust-descriptors.ts");
    const node = `${process.execPath} --conditions=@stowage/source ${script}`;
    const command = `ulimit -n 128; exec ${node} ${world.root} ${world.runRoot}`;
    const { stdout } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
    expect(stdout).toBe("ERR_STORE_TOO_MANY_FILES");
  });

  test("tells what it holds", async () => {
    await using world = await openWorld();
    const image = makeImage([{ name: "file", body: "x" }], [{ name: "file", body: "y" }]);
    await storeImage(world.store, image, "app:1");
    await world.store.containers.create({ names: [], metadata: "" });
    expect(await world.store.info()).toMatchObject({
      root: world.root,
      runRoot: world.runRoot,
      formatVersion: 1,
      images: 1,
      layers: 2,
      containers: 1,
      blobs: 4,
      mounts: 0,
    });
  });

  test("leaves nothing of its own behind", async () => {
    await using world = await openWorld();
    await storeImage(world.store, makeImage([{ name: "file", body: "x" }]), "app:1");
    await world.store[Symbol.asyncDispose]();
    await world.store[Symbol.asyncDispose]();
    for (const empty of ["staging", "trash", "leases", "ingest"]) {
      expect(readdirSync(join(world.root, empty))).toEqual([]);
    }
  });
});
