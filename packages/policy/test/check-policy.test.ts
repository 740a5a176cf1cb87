import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import {
  checkPolicy,
  checkPolicyKeys,
  loadRegistriesD,
  parsePolicy,
  type PolicyProblem,
  type RegistriesD,
} from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { makeSigner } from "./support/sigstore-signer.ts";

const REJECT = [{ type: "reject" }];
const ACCEPT = [{ type: "insecureAcceptAnything" }];
const KEY = makeSigner().data;
const SIGSTORE = {
  type: "sigstoreSigned",
  keyData: KEY,
  signedIdentity: { type: "matchRepository" },
};

describe("checkPolicy", () => {
  test("finds nothing in a policy that is well", async () => {
    const policy = docker({
      "docker.io/library": ACCEPT,
      "quay.io": REJECT,
      "*.example.com": ACCEPT,
    });
    expect(await checkPolicy(policy)).toEqual([]);
  });

  test.for([
    ["busybox", "docker.io/library/busybox"],
    ["https://quay.io/a", "quay.io/a"],
    ["quay.io/", "quay.io"],
    ["*example.com", "*.example.com"],
    ["a.*.com", "*.example.com"],
    ["q.io/a/*", "Write q.io/a:"],
    ["q.io/a*", "Write each that is meant in full, a scope for each: *"],
    ["q.io/a/B", "Write q.io/a/b:"],
  ] as const)("P07, P08 %s matches nothing; %s may be meant", async ([scope, meant]) => {
    expect(await checkPolicy(docker({ [scope]: ACCEPT }))).toMatchObject([
      {
        severity: "error",
        path: expect.stringContaining(scope),
        remedy: expect.stringContaining(meant),
      },
    ]);
  });

  test.for([
    ["registry-1.docker.io/library", "docker.io/library"],
    ["hub.docker.com", "docker.io"],
    ["docker.io/busybox", "docker.io/library/busybox"],
    ["qauy.io/a", "quay.io/a"],
    ["quay.1o", "quay.io"],
    ["ghrc.io", "ghcr.io"],
    ["rncr.microsoft.com", "mcr.microsoft.com"],
    ["dockerr.io", "docker.io"],
    ["docker.io/q.example.com/team", "q.example.com/team"],
  ] as const)("%s looks like %s, and is not", async ([scope, meant]) => {
    expect(await checkPolicy(docker({ [scope]: ACCEPT }))).toMatchObject([
      { severity: "warning", problem: expect.stringContaining(`looks like ${meant},`) },
    ]);
  });

  test.for([
    "docker.io",
    "docker.io/library/busybox",
    "docker.io/me/app",
    "gcr.io",
    "ghcr.io",
    "q.io",
  ])("%s is what it is", async (scope) => {
    expect(await checkPolicy(docker({ [scope]: ACCEPT }))).toEqual([]);
  });

  test("tells of transports that are none, and of a default that accepts", async () => {
    const policy = parsePolicy(JSON.stringify({ default: ACCEPT, transports: { dokcer: {} } }));
    expect(await checkPolicy(policy)).toMatchObject([
      { severity: "error", path: "transports.dokcer" },
      { severity: "warning", path: "default" },
    ]);
  });

  test("P05 tells of every key that is none, also inside others", async () => {
    const signedBy = { type: "signedBy", keyType: "GPGKeys", keyPath: "/none.asc" };
    const authority = { type: "sigstoreSigned", pki: { caRootsPath: "/ca", subjectEmail: "a" } };
    const anyOf = { type: "anyOf", requirements: [signedBy, ...REJECT] };
    const problems = await checkPolicy(docker({ "q.io/a": [signedBy, authority, anyOf] }));
    expect(errors(problems)).toEqual([
      'transports.docker["q.io/a"][0]: /none.asc is not there',
      'transports.docker["q.io/a"][1]: /ca is not there',
      'transports.docker["q.io/a"][2].requirements[0]: /none.asc is not there',
    ]);
  });

  test("tells of requirements that nothing can meet", async () => {
    const base = { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } };
    const x509 = { type: "signedBy", keyType: "X509Certificates", keyPaths: [] };
    const problems = await checkPolicy(
      docker({ "q.io/a": [base, { type: "audit", requirements: [x509] }] }),
    );
    expect(errors(problems).map((text) => text.split(": ")[0])).toEqual([
      'transports.docker["q.io/a"][0]',
      'transports.docker["q.io/a"][1].requirements[0].keyType',
    ]);
  });

  test("tells of a subject that is written as a pattern", async () => {
    const rule = (identity: object): object => ({
      type: "sigstoreBundle",
      identity: { issuer: "https://i", ...identity },
      trustedRootPath: "/root.json",
    });
    const check = async (identity: object) =>
      (await checkPolicy(docker({ "q.io/a": [rule(identity)] }))).filter(
        ({ severity }) => severity === "warning",
      );
    expect(await check({ subject: "https://github.com/o/*" })).toMatchObject(
      [{ path: expect.stringContaining("identity.subject"), remedy: /subjectPattern/ }].map(
        (one) => ({ ...one, remedy: expect.stringMatching(one.remedy) }),
      ),
    );
    expect(await check({ subjectPattern: "https://github.com/o/*" })).toEqual([]);
  });

  test("POL-X07 tells that cosign's signatures do not fit the identity that is the default", async () => {
    const policy = docker({ "q.io/a": [{ ...SIGSTORE, signedIdentity: undefined }] });
    expect(await checkPolicy(policy)).toMatchObject([
      { severity: "warning", remedy: expect.stringContaining("matchRepository") },
    ]);
  });
});

describe("POL-X07 checkPolicy, of an identity that is not said, tells", () => {
  const byFile = { type: "sigstoreSigned", keyPath: "/etc/keys/team.pub" };
  const fulcio = { caPath: "/ca", oidcIssuer: "https://i", subjectEmail: "a@b.c" };
  const rekorPublicKeyPath = "/rekor.pub";
  test.for([
    ["what may be meant of a key in a file", byFile, "info"],
    ["of several", { ...byFile, keyPath: undefined, keyPaths: ["/a.pub", "/b.pub"] }, "info"],
    ["of what cosign signs by its name", { ...byFile, keyPath: "/etc/cosign.pub" }, "warning"],
    ["of what is in a log", { ...byFile, rekorPublicKeyPath }, "warning"],
    [
      "of what has a short-lived key",
      { type: "sigstoreSigned", fulcio, rekorPublicKeyPath },
      "warning",
    ],
  ] as const)("%s", async ([, requirement, severity]) => {
    const problems = await checkPolicy(docker({ "q.io/a": [requirement] }));
    expect(problems.filter(({ path }) => path.endsWith(".signedIdentity"))).toMatchObject([
      { severity, remedy: expect.stringContaining("matchRepository") },
    ]);
  });

  test.for(["matchExact", "matchRepoDigestOrExact", "matchRepository"])(
    "nothing of %s, which somebody wrote",
    async (type) => {
      const requirement = { ...SIGSTORE, signedIdentity: { type } };
      expect(await checkPolicy(docker({ "q.io/a": [requirement] }))).toEqual([]);
    },
  );
});

describe("POL-X06 checkPolicy, of signatures beside images that nobody looks for", () => {
  test.for([
    ["nothing is said", "", "q.io/a", false],
    ["all are looked for", "default-docker: {use-sigstore-attachments: true}", "q.io/a", true],
    ["the scope is", "docker: {q.io/a: {use-sigstore-attachments: true}}", "q.io/a", true],
    ["its parent is", "docker: {q.io: {use-sigstore-attachments: true}}", "q.io/a/b:1", true],
    ["a wildcard is", "docker: {'*.io': {use-sigstore-attachments: true}}", "q.io:5000/a", true],
    ["a part of it is", "docker: {q.io/a/b: {use-sigstore-attachments: true}}", "q.io/a", false],
    ["another is", "docker: {r.io: {use-sigstore-attachments: true}}", "q.io/a", false],
    [
      "its parent is, but it is not",
      "docker: {q.io: {use-sigstore-attachments: true}, q.io/a: {use-sigstore-attachments: false}}",
      "q.io/a",
      false,
    ],
    [
      "a host is, for the whole transport",
      "docker: {q.io: {use-sigstore-attachments: true}}",
      "",
      false,
    ],
  ] as const)("where %s", async ([, yaml, scope, isFine]) => {
    await using folder = await tempDir();
    const problems = await checkPolicy(docker({ [scope]: [SIGSTORE] }), {
      registriesD: await registriesD(folder.path, yaml),
    });
    if (isFine) {
      expect(problems).toEqual([]);
      return;
    }
    expect(problems).toMatchObject([
      { severity: "error", remedy: expect.stringContaining("use-sigstore-attachments: true") },
    ]);
  });

  test("other transports and other requirements need none", async () => {
    await using folder = await tempDir();
    const config = await registriesD(folder.path, "");
    const transports = { dir: { "/a": [SIGSTORE] }, docker: { "q.io": ACCEPT } };
    const policy = parsePolicy(JSON.stringify({ default: REJECT, transports }));
    expect(await checkPolicy(policy, { registriesD: config })).toEqual([]);
  });
});

test("P05, S06 checkPolicyKeys finds each key that is none, and where, and nothing else", async () => {
  const none = { type: "signedBy", keyType: "GPGKeys", keyPath: "/none.asc" };
  const several = { type: "sigstoreSigned", keyDatas: [KEY, "bm8="] };
  const combined = { type: "anyOf", requirements: [SIGSTORE, several] };
  const scopes = { busybox: [none], "quay.io/a": [SIGSTORE, combined], "quay.io": REJECT };
  expect(await checkPolicyKeys(docker(scopes))).toMatchObject(
    [
      {
        severity: "error",
        path: 'transports.docker["busybox"][0]',
        problem: /none\.asc is not there/,
      },
      {
        severity: "error",
        path: 'transports.docker["quay.io/a"][1].requirements[1]',
        problem: /keyDatas/,
      },
    ].map(({ problem, ...rest }) => ({ ...rest, problem: expect.stringMatching(problem) })),
  );
});

describe("checkPolicy, of registries.d", () => {
  test.for([
    ["lookasid: file:///a", "lookasid", "warning"],
    ["lookaside: /srv/signatures", "lookaside", "error"],
    ["lookaside: ftp://q.io/a", "lookaside", "error"],
  ] as const)("%s is told of with its file", async ([field, key, severity]) => {
    await using folder = await tempDir();
    for (const yaml of [`docker: {q.io: {${field}}}`, `default-docker: {${field}}`]) {
      const config = await registriesD(folder.path, yaml);
      const problems = await checkPolicy(docker({}), { registriesD: config });
      expect(problems).toEqual([
        {
          severity,
          path: join(folder.path, "a.yaml"),
          problem: expect.stringContaining(`.${key}`),
          remedy: expect.any(String),
          // A pull ends with it, and is not rejected by the policy.
          code: severity === "error" ? "ERR_POLICY_INVALID_REGISTRIES_D" : undefined,
        },
      ]);
    }
  });

  test("one with a user is told to have none, and not to be a URL, which it is", async () => {
    await using folder = await tempDir();
    const yaml = "docker: {q.io: {lookaside: 'http://user@127.0.0.1:8091'}}";
    const config = await registriesD(folder.path, yaml);
    const [problem] = await checkPolicy(docker({}), { registriesD: config });
    expect(problem?.remedy).toContain("without a user");
    expect(problem?.remedy).not.toContain("Write a URL");
  });

  test("a lookaside whose folder is not there is told of, with its line", async () => {
    await using folder = await tempDir();
    const none = join(folder.path, "none");
    const yaml = `docker:\n  q.io:\n    lookaside: file://${none}\n  r.io:\n    lookaside: file://${folder.path}`;
    const config = await registriesD(folder.path, yaml);
    expect(await checkPolicy(docker({}), { registriesD: config })).toEqual([
      {
        severity: "warning",
        path: join(folder.path, "a.yaml"),
        problem: `has a lookaside (line 3, docker["q.io"].lookaside) whose folder is not there: ${none}`,
        remedy: expect.any(String),
      },
    ]);
  });

  test("a section that is none is told of, and what is well is not", async () => {
    await using folder = await tempDir();
    const config = await registriesD(folder.path, "dcoker: {q.io: {lookaside: 'file:///a'}}");
    expect(await checkPolicy(docker({}), { registriesD: config })).toMatchObject([
      { severity: "warning", problem: expect.stringContaining("dcoker") },
    ]);
    const good = await registriesD(
      folder.path,
      "docker: {q.io: {lookaside: 'https://q.io/s', use-sigstore-attachments: true}}",
    );
    expect(await checkPolicy(docker({}), { registriesD: good })).toEqual([]);
  });
});

describe("checkPolicy, of sections of registries.d that cover nothing", () => {
  test.for([
    ["q.io", "q.io:5000/a", 'docker["q.io"] in line 2', 'docker["q.io:5000"]'],
    ["q.io/a/b", "q.io:5000", 'docker["q.io/a/b"] in line 2', 'docker["q.io:5000/a/b"]'],
    ["q.io:5000/a", "q.io", 'docker["q.io:5000/a"] in line 2', 'docker["q.io/a"]'],
    ["q.io:5000", "q.io:5001/a:1", 'docker["q.io:5000"] in line 2', 'docker["q.io:5001"]'],
  ] as const)(
    "%s is told of where the policy has %s, with file and line",
    async ([section, scope, where, meant]) => {
      await using folder = await tempDir();
      const config = await registriesD(folder.path, `docker:\n  "${section}": {}`);
      expect(await checkPolicy(docker({ [scope]: ACCEPT }), { registriesD: config })).toEqual([
        {
          severity: "warning",
          path: join(folder.path, "a.yaml"),
          problem: expect.stringContaining(where),
          remedy: expect.stringContaining(meant),
        },
      ]);
    },
  );

  test.for([
    ["of the same port", "q.io:5000", "q.io:5000/a"],
    ["of whatever port", "'*.q.io'", "r.q.io:5000/a"],
    ["of another registry", "q.io", "r.io:5000"],
    ["of no registry that the policy knows", "q.io", ""],
    ["beside one with the port", "q.io: {}, q.io:5000", "q.io:5000"],
  ] as const)("one %s is not", async ([, section, scope]) => {
    await using folder = await tempDir();
    const config = await registriesD(folder.path, `docker: {${section}: {}}`);
    expect(await checkPolicy(docker({ [scope]: ACCEPT }), { registriesD: config })).toEqual([]);
  });

  test("one whose policy has the host with and without the port is not", async () => {
    await using folder = await tempDir();
    const config = await registriesD(folder.path, "docker: {q.io: {}}");
    const policy = docker({ "q.io": ACCEPT, "q.io:5000": ACCEPT });
    expect(await checkPolicy(policy, { registriesD: config })).toEqual([]);
  });

  test.for([
    ["busybox", "error", "docker.io/library/busybox"],
    ["https://q.io", "error", "Write q.io"],
    ["q.io/", "error", "Write q.io"],
    ["", "error", "default-docker"],
    ["index.docker.io", "error", "Write docker.io"],
    ["qauy.io/a", "warning", "Write quay.io/a"],
  ] as const)("P08 %s is told of, with file and line", async ([scope, severity, meant]) => {
    await using folder = await tempDir();
    const config = await registriesD(folder.path, `# ours\ndocker:\n\n  "${scope}": {}`);
    expect(await checkPolicy(docker({}), { registriesD: config })).toEqual([
      {
        severity,
        path: join(folder.path, "a.yaml"),
        problem: expect.stringContaining(`docker["${scope}"] in line 4`),
        remedy: expect.stringContaining(meant),
      },
    ]);
  });

  test.for(["x.conf", "x.yml", "x.yaml.old"])("a file %s is told of", async (name) => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, name), "docker: {q.io: {}}");
    await writeFile(join(folder.path, ".hidden"), "");
    const config = await registriesD(folder.path, "");
    expect(await checkPolicy(docker({}), { registriesD: config })).toEqual([
      {
        severity: "warning",
        path: join(folder.path, name),
        problem: expect.stringContaining("not read"),
        remedy: expect.any(String),
      },
    ]);
  });
});

function docker(scopes: Readonly<Record<string, readonly object[]>>) {
  return parsePolicy(JSON.stringify({ default: REJECT, transports: { docker: scopes } }));
}

function errors(problems: readonly PolicyProblem[]): readonly string[] {
  return problems
    .filter(({ severity }) => severity === "error")
    .map(({ path, problem }) => `${path}: ${problem}`);
}

async function registriesD(path: string, yaml: string): Promise<RegistriesD> {
  await writeFile(join(path, "a.yaml"), yaml);
  return await loadRegistriesD({ directory: path });
}
