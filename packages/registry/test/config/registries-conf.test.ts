import { mkdirSync, symlinkSync } from "node:fs";

import {
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@stowage/reference";
import {
  type ConfigEvent,
  findPullSources,
  loadRegistriesConf,
  type RegistriesConf,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";
import { inspectChain } from "../support/error-chain.ts";
import { OPERATIONS, type Vector, vectorsOf } from "../support/registries-vectors.ts";

// Where the README says that we differ.
const OTHERWISE: Readonly<Record<string, Vector["expect"]>> = {
  "RC-20": {
    matchedPrefix: "*.example.com",
    sources: [{ blocked: false, insecure: true, ref: "a.example.com.example.com/foo:1" }],
    tableBlocked: false,
  },
  "RC-22": {
    matchedPrefix: "a.example.com",
    sources: [{ blocked: false, insecure: false, ref: "exact.io/foo:1" }],
    tableBlocked: false,
  },
  "RC-33": {
    matchedPrefix: "a.com",
    sources: [{ blocked: true, insecure: false, ref: "b.com/x:1" }],
    tableBlocked: true,
  },
};

const CANARY = "canary-password";

describe("loadRegistriesConf", () => {
  test.for(vectorsOf("load", "pullSources").map((vector) => [vector.id, vector] as const))(
    "%s",
    async ([id, vector]) => {
      using directory = new TempDir();
      const expected = OTHERWISE[id] ?? vector.expect;
      const outcome = await outcomeOf(directory, vector).catch((error: unknown) => error);
      if ("error" in expected) {
        expect(outcome).toMatchObject({
          code: "ERR_REGISTRY_INVALID_CONFIG",
          kind: "ConfigFileInvalid",
          message: expect.stringContaining(directory.path),
        });
      } else expect(outcome).toEqual(expected);
    },
  );

  test("runs every operation of the vectors, here or in a test beside", () => {
    expect([...OPERATIONS].toSorted()).toEqual([
      "attempt",
      "certsDir",
      "credentials",
      "load",
      "loadCerts",
      "mirrorErrors",
      "pullSources",
      "resolve",
      "resolveLocally",
    ]);
  });

  test("a complaint names file, line and key", async () => {
    using directory = new TempDir();
    const path = directory.write(
      "r.conf",
      '# mine\n[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "m.com"\ninsecure = "yes"\n',
    );
    await expect(loadRegistriesConf({ path, dropInDir: directory.path })).rejects.toMatchObject({
      message: `${path}:6: registry[0].mirror[0].insecure is neither true nor false`,
    });
  });

  test.for([
    ["a syntax error", 'a = "b"\n[[registry]\n', ":2"],
    ["a table twice", "[aliases]\n[aliases]\n", ":2"],
    ["a key twice", 'short-name-mode="enforcing"\nshort-name-mode="disabled"\n', ":2"],
    ["version 1 and 2", 'registry = []\n[registries.search]\nregistries = ["a.com"]\n', ":2"],
    ["2 MiB", `# ${"x".repeat(2 * 1024 * 1024)}`, ""],
    ["no UTF-8", Buffer.from([0x23, 0xff]), ""],
    ["a list that is text", 'unqualified-search-registries = "a.com"', ":1"],
    ["a mode that is none", 'short-name-mode = "ask"', ":1"],
    ["a __proto__", "[__proto__]\nx = 1", ":1"],
    ["a deep array", `x = ${"[".repeat(5000)}`, ":1"],
  ] as const)("C01 %s: ConfigFileInvalid with file and line", async ([, text, line]) => {
    using directory = new TempDir();
    const path = directory.write("r.conf", text);
    await expect(load(directory, path)).rejects.toMatchObject({
      kind: "ConfigFileInvalid",
      message: expect.stringContaining(`${path}${line}: `),
    });
  });

  test.for([
    "https://a.com",
    `user:${CANARY}@a.com`,
    "a.com/../b",
    "a.com//b",
    "a.com/b?x",
    "a.com/B",
    "/etc",
    "",
    "a b",
    "a.com\\u0000",
  ])("C02 a location %j is refused, and no password quoted", async (location) => {
    using directory = new TempDir();
    const path = directory.write("r.conf", `[[registry]]\nlocation = "${location}"\n`);
    const failure: unknown = await load(directory, path).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "ERR_REGISTRY_INVALID_CONFIG" });
    expect(inspectChain(failure)).not.toContain(CANARY);
  });

  test.for([
    `unqualified-search-registries = ["user:${CANARY}@a.com"]`,
    `[aliases]\nshort = "user:${CANARY}@a.com/b"`,
    `[aliases]\n"user:${CANARY}@a.com/b" = "a.com/b"`,
    `[aliases]\n"https://user:${CANARY}@a.com/b" = "a.com/b"`,
  ])("C02 %j is refused, and no password quoted", async (text) => {
    using directory = new TempDir();
    const failure: unknown = await load(directory, directory.write("r.conf", text)).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: "ERR_REGISTRY_INVALID_CONFIG" });
    expect(inspectChain(failure)).not.toContain(CANARY);
  });

  test("C03 of many mirrors, and of one that is named often, each stands once", async () => {
    using directory = new TempDir();
    const mirror = (name: string) => `[[registry.mirror]]\nlocation = "${name}"\n`;
    const names = ["m.com", "m.com", "a.com", "n.com", "m.com"];
    const path = directory.write(
      "r.conf",
      `[[registry]]\nlocation = "a.com"\n${names.map(mirror).join("")}`,
    );
    const { mirrors } = sourcesOf(await load(directory, path), "a.com/x:1");
    expect(mirrors.map(({ repository }) => repository.host)).toEqual(["m.com", "n.com"]);
  });

  test("C05 a prefix blocks what it names, and no look-alike", async () => {
    using directory = new TempDir();
    const path = directory.write("r.conf", '[[registry]]\nlocation = "a.com/ns"\nblocked = true\n');
    const conf = await load(directory, path);
    const blocked = (ref: string) => sourcesOf(conf, ref).primary.blockedBy;
    expect(["a.com/ns/x", "a.com/ns/x/y"].map(blocked)).toEqual([path, path]);
    expect(["a.com/nsx/y", "a.com/n/s", "b.a.com/ns/x", "aacom/ns/x"].map(blocked)).toEqual(
      Array.from({ length: 4 }),
    );
  });

  test("C07 drop-ins: *.conf only, sorted by bytes, through links; the unreadable one is named", async () => {
    using directory = new TempDir();
    const path = directory.write("r.conf", "");
    mkdirSync(directory.file("d"));
    mkdirSync(directory.file("d/sub.d"));
    const search = (host: string) => `unqualified-search-registries = ["${host}"]`;
    directory.write("outside", search("linked.com"));
    for (const name of ["10.conf", "9.conf", "a.conf~", ".b.conf.swp", "c.conf.bak", "Z.conf"]) {
      directory.write(`d/${name}`, search(`${name.replace(/\W/gu, "")}.com`));
    }
    const dropInDir = directory.file("d");
    const conf = await loadRegistriesConf({ path, dropInDir, aliasFile: directory.file("none") });
    expect(conf.files.map((file) => file.replace(`${dropInDir}/`, ""))).toEqual([
      path,
      "10.conf",
      "9.conf",
      "Z.conf",
    ]);
    expect(conf.searchRegistries).toEqual(["Zconf.com"]);
    symlinkSync("../outside", directory.file("d/zz.conf"));
    const linked = await loadRegistriesConf({ path, dropInDir });
    expect(linked.searchRegistries).toEqual(["linked.com"]);
    mkdirSync(directory.file("d/y.conf"));
    await expect(loadRegistriesConf({ path, dropInDir })).rejects.toMatchObject({
      kind: "ConfigFileInvalid",
      message: expect.stringContaining(directory.file("d/y.conf")),
    });
  });

  test("the main file and the drop-ins are looked for in the order of containers/image", async () => {
    using home = new TempDir();
    const etc = home.file("etc");
    const env = { HOME: home.path };
    const user = ".config/containers/registries.conf";
    for (const folder of ["etc/containers/registries.conf.d", `${user}.d`]) {
      mkdirSync(home.file(folder), { recursive: true });
    }
    const load = async (more: Record<string, string> = {}) => {
      const { files } = await loadRegistriesConf({
        etc,
        env: { ...env, ...more },
        aliasFile: "/-",
      });
      return files.map((file) => file.replace(`${home.path}/`, ""));
    };
    expect(await load()).toEqual([]);
    home.write("etc/containers/registries.conf.d/s.conf", "");
    home.write(`${user}.d/u.conf`, "");
    const dropIns = ["etc/containers/registries.conf.d/s.conf", `${user}.d/u.conf`];
    expect(await load()).toEqual(dropIns);
    home.write("etc/containers/registries.conf", "");
    expect(await load()).toEqual(["etc/containers/registries.conf", ...dropIns]);
    home.write(user, "");
    expect(await load()).toEqual([user, `${user}.d/u.conf`]);
    const named = home.write("named", "");
    expect(await load({ REGISTRIES_CONFIG_PATH: named })).toEqual(["named", ...dropIns]);
    const other = home.write("other", "");
    expect(
      await load({ REGISTRIES_CONFIG_PATH: named, CONTAINERS_REGISTRIES_CONF: other }),
    ).toEqual(["other", ...dropIns]);
    await expect(load({ REGISTRIES_CONFIG_PATH: "/-" })).rejects.toMatchObject({
      kind: "ConfigFileInvalid",
    });
  });

  test("C02 tells no password of a key that means nothing", async () => {
    using directory = new TempDir();
    const path = directory.write("r.conf", `"user:${CANARY}@a.com" = 1\n`);
    const events: ConfigEvent[] = [];
    await load(directory, path, (event) => events.push(event));
    expect(events[0]).toMatchObject({ unknownKeys: ['"[redacted]@a.com"'] });
  });

  test("RC-49 tells the keys that mean nothing, and the file", async () => {
    using directory = new TempDir();
    const path = directory.write(
      "r.conf",
      'bogus = 1\n[[registry]]\nlocation = "a.com"\nlocatoin = 1\n',
    );
    const events: ConfigEvent[] = [];
    await load(directory, path, (event) => events.push(event));
    expect(events).toEqual([
      { type: "config-file", file: path, unknownKeys: ["bogus", "registry[0].locatoin"] },
    ]);
  });
});

function load(
  directory: TempDir,
  path: string,
  onEvent?: (event: ConfigEvent) => void,
): Promise<RegistriesConf> {
  mkdirSync(directory.file("none.d"));
  return loadRegistriesConf({
    path,
    onEvent,
    dropInDir: directory.file("none.d"),
    aliasFile: directory.file("no-aliases"),
  });
}

function sourcesOf(conf: RegistriesConf, text: string) {
  const { repository, tag, digest } = withDefaultTag(parseReference(text));
  const target = digest ?? tag;
  if (target === undefined) throw new Error(`${text} names nothing`);
  return findPullSources(conf, repository, target);
}

async function outcomeOf(directory: TempDir, { input }: Vector): Promise<unknown> {
  mkdirSync(directory.file("registries.conf.d"));
  if (input.confFile === undefined) directory.write("registries.conf", input.conf ?? "");
  for (const [name, text] of Object.entries(input.dropins ?? {})) {
    directory.write(`registries.conf.d/${name}`, text);
  }
  const conf = await loadRegistriesConf({
    path: directory.file("registries.conf"),
    dropInDir: directory.file("registries.conf.d"),
    aliasFile: directory.file("aliases.conf"),
  });
  if (input.op === "load") {
    return {
      helpers: conf.credentialHelpers,
      mode: conf.shortNameMode,
      registries: conf.registries.map(({ prefix, location }) => `${prefix}=>${location}`),
      usr: conf.searchRegistries ?? null,
    };
  }
  const { table, mirrors, primary } = sourcesOf(conf, input.ref);
  const asked: Reference = withDefaultTag(parseReference(input.ref));
  return {
    matchedPrefix: table?.prefix ?? null,
    tableBlocked: table?.blocked ?? false,
    sources: [...mirrors, primary].map(({ repository, insecure = false, blockedBy }) => ({
      blocked: blockedBy !== undefined,
      insecure,
      ref: formatReference({ ...asked, repository }),
    })),
  };
}
