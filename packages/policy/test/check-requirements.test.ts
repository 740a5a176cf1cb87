import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { checkPolicy, loadRegistriesD, parsePolicy, type PolicyProblem } from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { makeSigner } from "./support/sigstore-signer.ts";

const REJECT = { type: "reject" };
const ACCEPT = { type: "insecureAcceptAnything" };
const PLACE = 'transports.docker["q.io/a"][0]';
const [ONE, TWO, THREE] = [makeSigner().data, makeSigner().data, makeSigner().data];
const by = (...keyDatas: readonly (string | undefined)[]) => ({
  type: "sigstoreSigned",
  keyDatas,
  signedIdentity: { type: "matchRepository" },
});
const bundle = (more: object) => ({ type: "sigstoreBundle", ...more });
const anyOf = (threshold: number, ...requirements: readonly object[]) => ({
  type: "anyOf",
  threshold,
  requirements,
});
const audit = (...requirements: readonly object[]) => ({ type: "audit", requirements });

describe("checkPolicy, of requirements that stand together,", () => {
  test.for([
    ["an error of reject", [by(ONE), REJECT], "error", '["q.io/a"][1]', "Remove it, or"],
    ["word of what accepts all", [by(ONE), ACCEPT], "info", '["q.io/a"][1]', "Remove it."],
    ["word of what only reports", [audit(by(ONE))], "info", PLACE, "in its place"],
    ["a warning of a way around", [anyOf(1, by(ONE), ACCEPT)], "warning", "requirements[1]", ""],
    ["one of a report as a way around", [anyOf(1, audit(by(ONE)), by(TWO))], "warning", "[0]", ""],
    ["one inside another", [anyOf(1, by(ONE), anyOf(1, ACCEPT))], "warning", "requirements[1]", ""],
    ["one that is counted", [anyOf(2, by(ONE), by(TWO), ACCEPT)], "warning", "[2]", "Remove it"],
  ] as const)("has %s", async ([, requirements, severity, path, remedy]) => {
    expect(await check(requirements)).toContainEqual({
      severity,
      path: expect.stringContaining(path),
      line: 1,
      problem: expect.any(String),
      remedy: expect.stringContaining(remedy),
    });
  });

  test.for([
    ["reject alone", [REJECT]],
    ["accepting alone", [ACCEPT]],
    ["what only reports beside what asks", [by(ONE), audit(by(TWO))]],
    ["one of two", [anyOf(1, by(ONE), by(ONE, TWO))]],
    ["two of two signers", [anyOf(2, by(ONE), by(TWO))]],
    ["two of two kinds", [anyOf(2, by(ONE), bundle({ keyData: TWO }))]],
    [
      "two statements of one signer",
      [
        anyOf(
          2,
          bundle({ keyData: ONE, predicateType: "a" }),
          bundle({ keyData: ONE, predicateType: "b" }),
        ),
      ],
    ],
    ["a bundle by two of three", [bundle({ keyDatas: [ONE, TWO, THREE], threshold: 2 })]],
  ] as const)("has nothing of %s", async ([, requirements]) => {
    expect(await check(requirements)).toEqual([]);
  });
});

describe("checkPolicy, of a threshold that one signer meets alone, warns", () => {
  test.for([
    ["of the same key twice", [by(ONE), by(ONE)]],
    ["of keys in common", [by(ONE, TWO), by(THREE, TWO)]],
    ["of a key inside another", [by(ONE), anyOf(1, by(TWO), by(ONE))]],
    ["of two kinds of signature", [by(ONE), bundle({ keyData: ONE })]],
  ] as const)("%s", async ([, parts]) => {
    expect(await check([anyOf(2, ...parts)])).toMatchObject([
      {
        severity: "warning",
        path: `${PLACE}.threshold`,
        problem: expect.stringMatching(/the key sha256:\w+ meets \[0\] and \[1\] alone/),
      },
    ]);
  });

  test("of one key in two files, but of no two", async () => {
    await using folder = await tempDir();
    const path = async (name: string, data = ""): Promise<string> => {
      await writeFile(join(folder.path, name), Buffer.from(data, "base64"));
      return join(folder.path, name);
    };
    const file = (keyPath: string) => ({ ...by(), keyDatas: undefined, keyPath });
    const [one, same, two] = [await path("1", ONE), await path("2", ONE), await path("3", TWO)];
    expect(await check([anyOf(2, file(one), file(same))])).toMatchObject([{ severity: "warning" }]);
    expect(await check([anyOf(2, file(one), file(two))])).toEqual([]);
  });

  test.for([
    ["keys", { keyDatas: [ONE, ONE] }, "1"],
    ["keys, though there are some", { keyDatas: [ONE, TWO] }, "2"],
  ] as const)("and is wrong where a bundle's has too few %s", async ([, keys, count]) => {
    expect(await check([bundle({ ...keys, threshold: Number(count) + 1 })])).toMatchObject([
      { severity: "error", path: `${PLACE}.threshold`, problem: expect.stringContaining(count) },
    ]);
  });
});

describe("checkPolicy, of keys of OpenPGP that never count, warns", () => {
  test.for([
    ["expired", ["--faked-system-time", "20200101T000000!"], "rsa3072", "1d", /expired/],
    ["too short", [], "rsa1024", "never", /weak/],
  ] as const)("of one that is %s", async ([name, options, kind, until, why]) => {
    await using folder = await tempDir();
    const keyPath = await gpgKey(folder.path, { name, options, kind, until });
    expect(await check([{ type: "signedBy", keyType: "GPGKeys", keyPath }])).toMatchObject([
      { severity: "warning", path: PLACE, problem: expect.stringMatching(why) },
    ]);
  });

  test("and of one that counts it does not", async () => {
    await using folder = await tempDir();
    const key = { name: "good", options: [], kind: "rsa2048", until: "never" };
    const keyPath = await gpgKey(folder.path, key);
    expect(await check([{ type: "signedBy", keyType: "GPGKeys", keyPath }])).toEqual([]);
  });
});

test.for([
  ["q.io/a:1.0", '"exactReference", "dockerReference": "q.io/a:1.0"'],
  [`q.io/a@sha256:${"0".repeat(64)}`, '"exactReference", "dockerReference": "q.io/a@sha256:'],
])("checkPolicy warns of a repository's name with more: %s", async ([dockerRepository, meant]) => {
  const signedIdentity = { type: "exactRepository", dockerRepository };
  expect(await check([{ ...by(ONE), signedIdentity }])).toMatchObject([
    {
      severity: "warning",
      path: `${PLACE}.signedIdentity.dockerRepository`,
      remedy: expect.stringMatching(/Write "q\.io\/a", or/),
    },
  ]);
  expect((await check([{ ...by(ONE), signedIdentity }]))[0]?.remedy).toContain(meant);
  const plain = { type: "exactRepository", dockerRepository: "q.io/a" };
  expect(await check([{ ...by(ONE), signedIdentity: plain }])).toEqual([]);
});

test("checkPolicy warns of files that anybody may write or replace, and says which to mend", async () => {
  await using folder = await tempDir();
  const [keys, config] = [join(folder.path, "keys"), join(folder.path, "registries.d")];
  await mkdir(keys);
  await mkdir(config);
  const keyPath = join(keys, "a.pub");
  const yaml = join(config, "a.yaml");
  await writeFile(keyPath, Buffer.from(ONE, "base64"));
  await writeFile(yaml, `docker: {q.io: {lookaside: "file://${keys}"}}`);
  const requirement = { ...by(), keyDatas: undefined, keyPath };
  const told = async () => {
    const registriesD = await loadRegistriesD({ directory: config });
    const policy = policyOf([{ type: "anyOf", requirements: [requirement] }]);
    const problems = await checkPolicy(policy, { registriesD });
    return problems.filter(({ problem }) => !problem.includes("nobody looks for"));
  };
  expect(await told()).toEqual([]);
  await chmod(keyPath, 0o646);
  await chmod(yaml, 0o646);
  const paths = [
    expect.stringMatching(/a\.yaml$/),
    expect.stringMatching(/requirements\[0\]\.keyPath$/),
  ];
  expect(await told()).toEqual(
    [yaml, keyPath].map((file, index) => ({
      severity: "warning",
      path: paths[index],
      // That of a policy; registries.d has its own in the path.
      ...(index === 0 ? {} : { line: 1 }),
      problem: expect.stringContaining("anybody may change this file"),
      remedy: `Let only root write it: chmod go-w ${file}.`,
    })),
  );
  for (const [file, mode] of [
    [keyPath, 0o644],
    [yaml, 0o644],
    [keys, 0o757],
    [config, 0o757],
  ] as const)
    await chmod(file, mode);
  expect(await told()).toEqual(
    [config, keys].map((file, index) => ({
      severity: "warning",
      path: paths[index],
      // That of a policy; registries.d has its own in the path.
      ...(index === 0 ? {} : { line: 1 }),
      problem: expect.stringContaining(`write its folder ${file}`),
      remedy: `Let only root write it: chmod go-w ${file}.`,
    })),
  );
  // As that of all temporary files, where nobody replaces what others have.
  for (const file of [keys, config]) await chmod(file, 0o1777);
  expect(await told()).toEqual([]);
});

async function check(requirements: readonly object[]): Promise<readonly PolicyProblem[]> {
  return await checkPolicy(policyOf(requirements));
}

function policyOf(requirements: readonly object[]) {
  const transports = { docker: { "q.io/a": requirements } };
  return parsePolicy(JSON.stringify({ default: [REJECT], transports }));
}

async function gpgKey(
  home: string,
  key: { name: string; options: readonly string[]; kind: string; until: string },
): Promise<string> {
  const run = promisify(execFile);
  const path = join(home, "key.asc");
  const gpg = ["--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback"];
  const make = ["--passphrase", "", "--quick-gen-key", key.name, key.kind, "sign", key.until];
  await run("gpg", [...gpg, ...key.options, ...make]);
  await run("gpg", [...gpg, "--armor", "--output", path, "--export", key.name]);
  await run("gpgconf", ["--homedir", home, "--kill", "gpg-agent"]);
  return path;
}
