import { mkdirSync, readFileSync } from "node:fs";

import {
  loadRegistriesConf,
  recordShortName,
  type RegistriesConf,
  resolveLocally,
  resolveShortName,
} from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";
import { type Vector, vectorsOf } from "../support/registries-vectors.ts";

const CODES: Readonly<Record<string, string>> = {
  "SN-09": "ERR_REGISTRY_SHORT_NAME",
  "SN-13": "ERR_REGISTRY_SHORT_NAME",
  "SN-18": "ERR_REFERENCE_UPPERCASE",
};

describe("resolveShortName", () => {
  test.for(vectorsOf("resolve", "resolveLocally").map((vector) => [vector.id, vector] as const))(
    "%s",
    async ([id, { input, expect: expected }]) => {
      using directory = new TempDir();
      const conf = await load(directory, input);
      const resolve = () =>
        input.op === "resolve"
          ? resolveShortName(conf, input.name, { mode: input.callerShortNameMode }).candidates
          : resolveLocally(conf, input.name);
      if ("error" in expected) {
        expect(resolve).toThrow(expect.objectContaining({ code: CODES[id] }));
      } else expect(resolve()).toEqual(expected["candidates"]);
    },
  );

  test("takes 64 hex digits for an ID, whatever is configured", async () => {
    using directory = new TempDir();
    const conf = await load(directory, { conf: 'unqualified-search-registries = ["a.com"]' });
    expect(() => resolveShortName(conf, "a".repeat(64))).toThrow(
      expect.objectContaining({ code: "ERR_REFERENCE_AMBIGUOUS_ID" }),
    );
  });

  test("means Docker Hub only where no file says where to search; an empty list does say", async () => {
    using directory = new TempDir();
    const none = await load(directory, { conf: "" });
    const options = { defaultToHub: true };
    expect(resolveShortName(none, "box", options).candidates).toEqual([
      "docker.io/library/box:latest",
    ]);
    expect(resolveLocally(none, "box", options)).toEqual([
      "localhost/box:latest",
      "docker.io/library/box:latest",
    ]);
    using other = new TempDir();
    const cleared = await load(other, { conf: "unqualified-search-registries = []" });
    expect(() => resolveShortName(cleared, "box", options)).toThrow(
      expect.objectContaining({ code: "ERR_REGISTRY_SHORT_NAME", kind: "ReferenceInvalid" }),
    );
  });

  test.for([
    ["disabled", true, false],
    ["permissive", true, true],
    ["permissive", false, false],
    ["enforcing", true, true],
  ] as const)("mode %s, somebody to ask %s: asks %s", async ([mode, canAsk, ask]) => {
    using directory = new TempDir();
    const conf = await load(directory, {
      conf: `unqualified-search-registries = ["a.com", "b.com"]\nshort-name-mode = "${mode}"`,
    });
    expect(resolveShortName(conf, "x", { canAsk })).toEqual({
      candidates: ["a.com/x:latest", "b.com/x:latest"],
      ask,
    });
  });

  test("a recorded choice is an alias from then on, beside those that were there", async () => {
    using directory = new TempDir();
    const input = { conf: 'unqualified-search-registries = ["a.com", "b.com"]' };
    const aliasFile = directory.write("aliases.conf", '[aliases]\n"old" = "c.com/old"\n');
    await Promise.all([
      recordShortName("x:1", "b.com/x:1", { aliasFile }),
      recordShortName("ns/y", "docker.io/ns/y", { aliasFile }),
    ]);
    const conf = await load(directory, input);
    const candidates = ["x:2", "ns/y", "old"].map(
      (name) => resolveShortName(conf, name).candidates,
    );
    expect(candidates).toEqual([["b.com/x:2"], ["docker.io/ns/y:latest"], ["c.com/old:latest"]]);
  });

  test("a malformed file of recorded aliases is told, and not written over", async () => {
    using directory = new TempDir();
    const aliasFile = directory.write("aliases.conf", '[aliases]\n"a:1" = "c.com/old"\n');
    await expect(recordShortName("x", "b.com/x", { aliasFile })).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
      message: expect.stringContaining(`${aliasFile}:2`),
    });
    expect(readFileSync(aliasFile, "utf8")).toContain("c.com/old");
  });
});

function load(directory: TempDir, input: Partial<Vector["input"]>): Promise<RegistriesConf> {
  const path = directory.write("registries.conf", input.conf ?? "");
  mkdirSync(directory.file("registries.conf.d"));
  for (const [name, text] of Object.entries(input.dropins ?? {})) {
    directory.write(`registries.conf.d/${name}`, text);
  }
  const { machineAliases } = input;
  if (machineAliases !== undefined) directory.write("aliases.conf", machineAliases);
  return loadRegistriesConf({
    path,
    dropInDir: directory.file("registries.conf.d"),
    aliasFile: directory.file("aliases.conf"),
  });
}
