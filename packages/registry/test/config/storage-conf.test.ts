import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { loadStorageConf, type StorageConf } from "@stowage/registry";
import { hasPeer, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const GRAPH = '[storage]\ndriver = "vfs"\ngraphroot = "/g"\nrootless_storage_path = "$HOME/r"\n';

describe("loadStorageConf", () => {
  const places: readonly (readonly [
    what: string,
    files: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string>>,
    uid: number,
    expected: Partial<StorageConf>,
  ])[] = [
    ["nothing, for root", {}, {}, 0, { graphRoot: "/var/lib/containers/storage" }],
    ["nothing, for others", {}, {}, 7, { graphRoot: "HOME/.local/share/containers/storage" }],
    ["nothing, and XDG", {}, { XDG_DATA_HOME: "/x" }, 7, { graphRoot: "/x/containers/storage" }],
    ["the system's, for root", { etc: GRAPH }, {}, 0, { graphRoot: "/g", driver: "vfs" }],
    ["the system's, for others", { etc: GRAPH }, {}, 7, { graphRoot: "HOME/r", driver: "vfs" }],
    ["the vendor's", { usr: GRAPH }, {}, 0, { graphRoot: "/g" }],
    ["both", { etc: '[storage]\ngraphroot = "/h"', usr: GRAPH }, {}, 0, { graphRoot: "/h" }],
    ["the user's own", { home: GRAPH, etc: "" }, {}, 7, { graphRoot: "/g" }],
    ["not the user's own, for root", { home: GRAPH }, {}, 0, { driver: undefined }],
    ["a driver by variable", { etc: GRAPH }, { STORAGE_DRIVER: "btrfs" }, 0, { driver: "btrfs" }],
    [
      "further stores",
      { etc: '[storage.options]\nadditionalimagestores = ["/a", "$HOME/b"]' },
      {},
      0,
      { imageStores: ["/a", "HOME/b"] },
    ],
  ];
  test.for(places)("goes by %s", async ([, files, env, uid, expected]) => {
    await using world = await makeWorld(files);
    const conf = await loadStorageConf({ ...world, env: { HOME: world.home, ...env }, uid });
    const wanted = JSON.parse(JSON.stringify(expected).replaceAll("HOME", world.home));
    expect(conf).toMatchObject(wanted);
  });

  test("goes by the file that is named, which has to be there", async () => {
    await using world = await makeWorld({ etc: GRAPH });
    const named = join(world.home, "named.conf");
    const env = { HOME: world.home, CONTAINERS_STORAGE_CONF: named };
    await expect(loadStorageConf({ ...world, env })).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
    });
    await writeFile(named, '[storage]\ngraphroot = "/n"\n');
    expect(await loadStorageConf({ ...world, env, uid: 7 })).toMatchObject({
      file: named,
      graphRoot: "/n",
    });
  });

  test.for([
    ["no TOML", "[storage"],
    ["a relative path", '[storage]\n\ngraphroot = "g"'],
    ["another sort", "[storage]\n\ngraphroot = 7"],
    ["a relative store", '[storage.options]\n\nadditionalimagestores = ["a"]'],
  ] as const)("refuses %s, with file and line", async ([, text]) => {
    await using world = await makeWorld({ etc: text });
    const file = join(world.system[0] ?? "", "containers/storage.conf");
    await expect(loadStorageConf({ ...world, env: {}, uid: 0 })).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
      message: expect.stringMatching(new RegExp(`^${file}:\\d`)),
      hint: expect.stringContaining("containers-storage:["),
    });
  });

  test.skipIf(!hasPeer("podman"))("says what podman says", async () => {
    await using world = await makeWorld({});
    const file = join(world.home, "storage.conf");
    const [graph, runRoot] = [join(world.home, "graph"), join(world.home, "run")];
    const more = join(world.home, "more");
    await mkdir(more);
    await writeFile(
      file,
      `[storage]\ndriver = "vfs"\ngraphroot = "${graph}"\nrunroot = "${runRoot}"\n[storage.options]\nadditionalimagestores = ["${more}"]\n`,
    );
    const env = { ...process.env, CONTAINERS_STORAGE_CONF: file };
    const { stdout } = await run("podman", ["info", "--format", "json"], { env });
    const { store } = JSON.parse(stdout);
    const conf = await loadStorageConf({ env });
    expect([conf.graphRoot, conf.driver]).toEqual([store.graphRoot, store.graphDriverName]);
    expect(JSON.stringify(store.graphOptions)).toContain(conf.imageStores[0]);
  });
});

interface World extends AsyncDisposable {
  readonly home: string;
  readonly system: readonly string[];
}

async function makeWorld(files: Readonly<Record<string, string>>): Promise<World> {
  const { path, ...folder } = await tempDir();
  const places: Readonly<Record<string, string>> = {
    home: join(path, "home/.config"),
    etc: join(path, "etc"),
    usr: join(path, "usr"),
  };
  await mkdir(join(path, "home"));
  for (const [place, text] of Object.entries(files)) {
    const file = join(places[place] ?? "", "containers/storage.conf");
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const system = [places["etc"] ?? "", places["usr"] ?? ""];
  return {
    home: join(path, "home"),
    system,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
