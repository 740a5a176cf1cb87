import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

import { digestOf } from "@stowage/content";
import { openPodmanStore, type OpenPodmanStoreOptions } from "@stowage/store";
import { diffTrees, hasPeer, snapshotTree, type TempDir, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { type MadePodmanStore, makePodmanStore } from "./support/podman-store.ts";
import { rawTar } from "./support/raw-tar.ts";

const SECRET = "what no image has";
const BASE = rawTar(
  { name: "etc/", type: "5", mode: 0o755 },
  { name: "etc/hello", body: "from the base" },
  { name: "./etc/again", body: Buffer.alloc(700_000, "0123456789") },
  { name: "etc/hard", type: "1", link: "etc/hello" },
);
const TOP = rawTar({ name: "top", body: "from the top" }, { name: "etc/.wh.again" });
const HOLD = `
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
`;

describe.skipIf(!IS_ROOT)(`a store of podman's${NEEDS_ROOT}`, () => {
  test("gives the archives of its layers, byte by byte, and is left as it was", async () => {
    await using world = await makeWorld();
    const before = snapshotTree(world.made.root);
    expect(await joined(world)).toEqual([BASE, TOP]);
    expect(diffTrees(before, snapshotTree(world.made.root))).toEqual([]);
  });

  test("finds layers of an image in the further stores that it is told of", async () => {
    await using world = await makeWorld();
    const { made, folder } = world;
    const own = join(folder.path, "own");
    mkdirSync(join(own, "overlay-images"), { recursive: true });
    const options = { graphRoot: own, imageStores: [made.root] };
    expect(await joined(world, options)).toEqual([BASE, TOP]);
    using store = await openPodmanStore(options);
    expect(store.images.map(({ graphRoot }) => graphRoot)).toEqual([made.root]);
  });

  test("has the signatures of each manifest", async () => {
    await using world = await makeWorld();
    const { made } = world;
    const digest = digestOf(Buffer.from("a manifest"));
    const sizes = { "signatures-sizes": { [digest]: [3, 4] } };
    made.rewrite("images", ([image]) => (image!["metadata"] = JSON.stringify(sizes)));
    const key = `signature-${digest.slice(7)}`;
    const file = join(made.root, "overlay-images", made.id, `=${btoa(key)}`);
    writeFileSync(file, "onetwo2");
    using store = await openPodmanStore({ graphRoot: made.root });
    const image = await store.openImage(store.images[0]!);
    expect((await image.readSignatures(digest)).map(String)).toEqual(["one", "two2"]);
    expect(await image.readSignatures(digestOf(Buffer.from("another")))).toEqual([]);
    writeFileSync(file, "onetwo");
    await expect(image.readSignatures(digest)).rejects.toMatchObject({ code: "ERR_STORE_CORRUPT" });
  });

  const wrongFiles: readonly (readonly [what: string, path: string, damage: Damage])[] = [
    ["altered", "etc/hello", ({ file }) => writeFileSync(file, "from the bad!")],
    ["longer", "etc/hello", ({ file }) => appendFileSync(file, "!")],
    ["shorter", "etc/again", ({ file }) => truncateSync(file, 600_000)],
    ["gone", "etc/again", ({ file }) => rmSync(file)],
    ["a link to the same outside", "etc/hello", ({ file, outside }) => relink(file, outside)],
    ["a folder", "etc/hello", ({ file }) => (rmSync(file), mkdirSync(file))],
    ["a pipe", "etc/hello", ({ file }) => (rmSync(file), execFileSync("mkfifo", [file]))],
    [
      "below a link",
      "etc/hello",
      ({ file, outside }) => {
        renameSync(join(file, ".."), `${outside}.d`);
        symlinkSync(`${outside}.d`, join(file, ".."));
      },
    ],
  ];
  test.for(wrongFiles)("tells layer and path of a file that is %s", async ([, path, damage]) => {
    await using world = await makeWorld();
    const [base] = world.made.layers;
    const outside = join(world.folder.path, "outside");
    writeFileSync(outside, "from the base");
    damage({ file: join(base!.tree, path), outside });
    await expect(joined(world)).rejects.toMatchObject({
      code: "ERR_STORE_DIFF_ID_MISMATCH",
      message: expect.stringMatching(new RegExp(`layer ${base!.id}.*"${path}"`)),
    });
  });

  const damagedStores: readonly (readonly [what: string, code: string, damage: DamageStore])[] = [
    [
      "a layer elsewhere",
      "ERR_STORE_LAYER_NOT_FOUND",
      ({ layers: [base] }, outside) => {
        renameSync(base!.tree, outside);
        symlinkSync(outside, base!.tree);
      },
    ],
    ["no tar-split", "ERR_STORE_LAYER_NOT_FOUND", ({ layers: [base] }) => rmSync(base!.tarSplit)],
    [
      "a tar-split elsewhere",
      "ERR_STORE_LAYER_NOT_FOUND",
      ({ layers: [base] }, outside) => {
        renameSync(base!.tarSplit, outside);
        symlinkSync(outside, base!.tarSplit);
      },
    ],
    [
      "a tar-split that is cut off",
      "ERR_STORE_CORRUPT",
      ({ layers: [base] }) => truncateSync(base!.tarSplit, 100),
    ],
    [
      "a name that leads out",
      "ERR_STORE_CORRUPT",
      ({ layers: [base] }) =>
        splitOf(base!.tarSplit, (text) => text.replace('"etc/hello"', '"../../secret"')),
    ],
    [
      "a line that is none",
      "ERR_STORE_CORRUPT",
      ({ layers: [base] }) => splitOf(base!.tarSplit, (text) => `null\n${text}`),
    ],
    [
      "a line without end",
      "ERR_STORE_CORRUPT",
      ({ layers: [base] }) => splitOf(base!.tarSplit, () => " ".repeat(20 << 20)),
    ],
    [
      "more bytes than its layer has",
      "ERR_STORE_LIMIT_EXCEEDED",
      ({ layers: [base] }) => splitOf(base!.tarSplit, (text) => text.repeat(2)),
    ],
    [
      "a byte of padding altered",
      "ERR_STORE_DIFF_ID_MISMATCH",
      ({ layers: [base] }) => splitOf(base!.tarSplit, (text) => text.replace(/AAAA"/u, 'AAAB"')),
    ],
    [
      "an ID that is a path",
      "ERR_STORE_CORRUPT",
      (made) => made.rewrite("images", ([image]) => (image!["id"] = "../../secret")),
    ],
    [
      "a layer whose ID is a path",
      "ERR_STORE_CORRUPT",
      (made) => made.rewrite("layers", ([base]) => (base!["id"] = "../../secret")),
    ],
    [
      "a layer on itself",
      "ERR_STORE_CORRUPT",
      (made) => made.rewrite("layers", ([base]) => (base!["parent"] = made.layers[1]!.id)),
    ],
    [
      "a layer that is not there",
      "ERR_STORE_LAYER_NOT_FOUND",
      (made) => made.rewrite("layers", (layers) => layers.shift()),
    ],
    [
      "a layer that came in part",
      "ERR_STORE_LAYER_NOT_FOUND",
      (made) => made.rewrite("layers", ([base]) => (base!["flags"] = { incomplete: true })),
    ],
    [
      "a list that is none",
      "ERR_STORE_CORRUPT",
      ({ root }) => writeFileSync(join(root, "overlay-images/images.json"), '{"id": 1}'),
    ],
    [
      "a manifest elsewhere",
      "ERR_STORE_CORRUPT",
      ({ root, id }, outside) => {
        const manifest = join(root, "overlay-images", id, "manifest");
        renameSync(manifest, outside);
        symlinkSync(outside, manifest);
      },
    ],
  ];
  test.for(damagedStores)("with %s is told: %s", async ([, code, damage]) => {
    await using world = await makeWorld();
    writeFileSync(join(world.folder.path, "secret"), SECRET);
    damage(world.made, join(world.folder.path, "outside"));
    const reading = joined(world);
    await expect(reading).rejects.toMatchObject({ code });
    await expect(reading).rejects.not.toMatchObject({ message: expect.stringContaining(SECRET) });
  });

  test.for([
    ["nothing", () => {}, "ERR_STORE_INVALID_ROOT"],
    ["a file", (path: string) => writeFileSync(path, ""), "ERR_STORE_INVALID_ROOT"],
    ["a folder of something else", (path: string) => mkdirSync(path), "ERR_STORE_INVALID_ROOT"],
  ] as const)("is not %s", async ([, make, code]) => {
    await using folder = await tempDir();
    const graphRoot = join(folder.path, "none");
    make(graphRoot);
    await expect(openPodmanStore({ graphRoot })).rejects.toMatchObject({ code });
    expect(existsSync(graphRoot) ? readdirSync(folder.path) : []).toEqual(
      existsSync(graphRoot) ? ["none"] : [],
    );
  });

  test("of another driver is refused by that driver's name", async () => {
    await using world = await makeWorld();
    const opening = openPodmanStore({ graphRoot: world.made.root, driver: "btrfs" });
    await expect(opening).rejects.toMatchObject({
      code: "ERR_STORE_INVALID_ROOT",
      message: expect.stringContaining("btrfs"),
    });
  });

  test.skipIf(!hasPeer("python3"))(
    "waits for whoever writes, and says in the end who that is",
    async () => {
      await using world = await makeWorld();
      const lock = join(world.made.root, "overlay-images/images.lock");
      const holder = spawn("python3", ["-c", HOLD, lock]);
      await once(holder.stdout, "data");
      const options = { graphRoot: world.made.root, lockTimeout: 100 };
      await expect(openPodmanStore(options)).rejects.toMatchObject({
        code: "ERR_STORE_BUSY",
        message: expect.stringContaining(`process ${holder.pid}`),
      });
      const reason = new Error("enough");
      const waiting = openPodmanStore({ ...options, lockTimeout: 60_000, signal: aborted(reason) });
      await expect(waiting).rejects.toBe(reason);
      const patient = openPodmanStore({ ...options, lockTimeout: 60_000 });
      holder.stdin.end();
      using store = await patient;
      expect(store.images).toHaveLength(1);
    },
  );

  test.skipIf(!hasPeer("python3"))(
    "keeps writers out while a layer is read, and not longer",
    async () => {
      await using world = await makeWorld();
      const lock = join(world.made.root, "overlay-layers/layers.lock");
      using store = await openPodmanStore({ graphRoot: world.made.root });
      const image = await store.openImage(store.images[0]!);
      const reading = image.openLayer(image.layers[0]!)[Symbol.asyncIterator]();
      await reading.next();
      const writer = spawn("python3", [
        "-c",
        HOLD.replace("LOCK_EX", "LOCK_EX | fcntl.LOCK_NB"),
        lock,
      ]);
      expect((await once(writer, "close"))[0]).toBe(1);
      await reading.return?.();
      const next = spawn("python3", ["-c", HOLD, lock]);
      await once(next.stdout, "data");
      next.stdin.end();
      expect((await once(next, "close"))[0]).toBe(0);
    },
  );
});

type Damage = (at: { readonly file: string; readonly outside: string }) => unknown;
type DamageStore = (made: MadePodmanStore, outside: string) => unknown;

interface World extends AsyncDisposable {
  readonly folder: TempDir;
  readonly made: MadePodmanStore;
}

async function makeWorld(): Promise<World> {
  const folder = await tempDir();
  const made = makePodmanStore(join(folder.path, "store"), [BASE, TOP]);
  return { folder, made, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/** The archives of all layers of the only image. */
async function joined(
  { made }: World,
  options: OpenPodmanStoreOptions = { graphRoot: made.root },
): Promise<readonly Buffer[]> {
  using store = await openPodmanStore(options);
  const image = await store.openImage(store.images[0]!);
  const archives: Buffer[] = [];
  for (const layer of image.layers) {
    archives.push(Buffer.concat(await Array.fromAsync(image.openLayer(layer))));
  }
  return archives;
}

function relink(file: string, target: string): void {
  rmSync(file);
  symlinkSync(target, file);
}

function splitOf(path: string, change: (text: string) => string): void {
  writeFileSync(path, gzipSync(change(gunzipSync(readFileSync(path)).toString())));
}

function aborted(reason: Error): AbortSignal {
  const stop = new AbortController();
  setImmediate(() => stop.abort(reason));
  return stop.signal;
}
