import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { loadRegistriesD, signatureStorageOf } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const IMAGE = parseReference("q.io/a/b:1");

describe("loadRegistriesD", () => {
  test("prefers the user's directory to the system's, and does not merge them", async () => {
    await using folder = await tempDir();
    const options = { env: { HOME: folder.path }, systemDirectory: join(folder.path, "etc") };
    await mkdir(options.systemDirectory);
    await writeFile(join(folder.path, "etc/a.yaml"), "docker: {q.io: {lookaside: 'https://s'}}");
    const system = await loadRegistriesD(options);
    expect(system.directory).toBe(options.systemDirectory);
    expect(signatureStorageOf(system, IMAGE).lookaside).toBe("https://s");
    const user = join(folder.path, ".config/containers/registries.d");
    await mkdir(user, { recursive: true });
    const own = await loadRegistriesD(options);
    expect(own.directory).toBe(user);
    expect(signatureStorageOf(own, IMAGE).lookaside).toBe(own.defaultLookaside);
  });

  test("reads *.yaml and nothing else, and says which file said what", async () => {
    await using world = await write({
      "a.yaml": "docker: {q.io/a: {use-sigstore-attachments: true}}",
      "b.yaml": "default-docker: {sigstore: 'file:///old', unknown: 1}\nother: 1",
      "c.yml": "default-docker: {lookaside: 'file:///no'}",
      "d.yaml": "",
      "e.yaml": "docker:",
    });
    const config = await loadRegistriesD({ directory: world.path });
    expect(signatureStorageOf(config, IMAGE)).toEqual({
      lookaside: "file:///old",
      lookasideFile: join(world.path, "b.yaml"),
      lookasideAt: "line 1, default-docker.sigstore",
      lookasideStaging: "file:///old",
      useSigstoreAttachments: true,
      attachmentsFile: join(world.path, "a.yaml"),
    });
  });

  test("the nearest section wins, also one for a single tag, a digest or a wildcard", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    await using world = await write({
      "a.yaml": `docker:
  "*.io": {lookaside: "file:///wild"}
  q.io: {lookaside: "file:///host"}
  q.io/a/b:1: {lookaside: "file:///tag"}
  q.io/a/b@${digest}: {lookaside: "file:///digest"}
  __proto__: {lookaside: "file:///proto"}`,
    });
    const config = await loadRegistriesD({ directory: world.path });
    const at = (name: string): string => signatureStorageOf(config, parseReference(name)).lookaside;
    expect(at("q.io/a/b:1")).toBe("file:///tag");
    expect(at("q.io/a/b:2")).toBe("file:///host");
    expect(at(`q.io/a/b:1@${digest}`)).toBe("file:///digest");
    expect(at("r.io/a")).toBe("file:///wild");
    expect(at("busybox")).toBe("file:///wild");
    expect(at("q.dev/a")).toBe(config.defaultLookaside);
  });

  test("an old name gives way to the new one of the same section, not of a wider one", async () => {
    await using world = await write({
      "a.yaml": `docker:
  q.io/a: {sigstore: "file:///old"}
  q.io: {lookaside: "file:///new", sigstore: "file:///older"}`,
    });
    const config = await loadRegistriesD({ directory: world.path });
    expect(signatureStorageOf(config, IMAGE).lookaside).toBe("file:///old");
    expect(signatureStorageOf(config, parseReference("q.io/c")).lookaside).toBe("file:///new");
  });

  test.for([
    ["no YAML", "docker: ["],
    ["a repeated key", "docker: {a.io: {}, a.io: {}}"],
    ["a list", "- docker"],
    ["text", "docker: text"],
    ["a section that is none", "docker: {a.io: [1]}"],
    ["a lookaside that is no text", "docker: {a.io: {lookaside: 1}}"],
    ["attachments that are no boolean", "docker: {a.io: {use-sigstore-attachments: 'yes'}}"],
    [
      "aliases without end",
      `a: &a [x,x]\n${"bcdefgh"
        .split("")
        .map((name, index) => `${name}: &${name} [${`*${"abcdefg"[index]},`.repeat(9)}]`)
        .join("\n")}\ndocker: *h`,
    ],
    ["a section of another file", "docker: {z.io: {}}"],
  ] as const)("refuses %s", async ([, text]) => {
    await using world = await write({ "a.yaml": text, "z.yaml": "docker: {z.io: {}}" });
    await expect(loadRegistriesD({ directory: world.path })).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      kind: "ConfigFileInvalid",
      message: expect.stringContaining(world.path),
    });
  });

  test.for([
    [
      "docker:\n  a.io: {}\n  z.io: {}",
      "a.yaml, line 3, already",
      'z.yaml: line 2, docker["z.io"]',
    ],
    ["\ndefault-docker: {}", "a.yaml, line 2, already", "z.yaml: line 4, default-docker"],
  ] as const)(
    "says where a section is that a second file has: %j",
    async ([text, first, second]) => {
      const again = "docker:\n  z.io:\n    {}\ndefault-docker: {}";
      await using world = await write({ "a.yaml": text, "z.yaml": again });
      await expect(loadRegistriesD({ directory: world.path })).rejects.toMatchObject({
        code: "ERR_POLICY_INVALID_REGISTRIES_D",
        message: expect.stringMatching(new RegExp(`${escape(second)} is in .*${escape(first)}$`)),
      });
    },
  );

  test.for([
    ["docker:\n  a.io:\n    lookaside: 1", 'line 3, docker["a.io"].lookaside is not a string'],
    [
      "docker:\n  a.io:\n    use-sigstore-attachments:\n      'yes'",
      'line 3, docker["a.io"].use-sigstore-attachments is neither',
    ],
    ["\ndocker:\n  a.io: [1]", 'line 3, docker["a.io"] is no mapping: a section has lookaside'],
    ["\ndocker: text", "line 2, docker is no mapping"],
  ] as const)("says in which line %j is wrong", async ([text, words]) => {
    await using world = await write({ "a.yaml": text });
    await expect(loadRegistriesD({ directory: world.path })).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      message: expect.stringContaining(`a.yaml: ${words}`),
    });
  });

  test("says which line is no YAML", async () => {
    await using world = await write({ "a.yaml": "docker:\n  q.io: {}\n q: [" });
    await expect(loadRegistriesD({ directory: world.path })).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      message: expect.stringMatching(/a\.yaml: is no YAML that can be read: .* line 3/),
    });
  });

  test("refuses what it cannot read", async () => {
    await using world = await write({ file: "" });
    await mkdir(join(world.path, "a.yaml"));
    for (const directory of [world.path, join(world.path, "file")]) {
      await expect(loadRegistriesD({ directory })).rejects.toMatchObject({
        code: "ERR_POLICY_INVALID_REGISTRIES_D",
      });
    }
  });

  test("takes a directory that is not there for nothing, unless it was asked for", async () => {
    await using world = await write({});
    const none = join(world.path, "none");
    const usual = await loadRegistriesD({ env: { HOME: none }, systemDirectory: none });
    expect(usual).toMatchObject({ directory: none, missing: true, docker: {} });
    await expect(loadRegistriesD({ directory: none })).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      kind: "ConfigFileInvalid",
      message: `${none}: there is no such directory`,
    });
  });
});

function escape(text: string): string {
  return text.replaceAll(/[.[\]]/g, "\\$&");
}

async function write(files: Readonly<Record<string, string>>) {
  const folder = await tempDir();
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
  return folder;
}
