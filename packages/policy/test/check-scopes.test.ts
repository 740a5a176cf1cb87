import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { checkPolicy, createPolicyEvaluator, loadPolicy, parsePolicy } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const REJECT = [{ type: "reject" }];
const ACCEPT = [{ type: "insecureAcceptAnything" }];

describe("checkPolicy, of scopes that match nothing, names what is meant and the line:", () => {
  test.for([
    ["q.io//a", "Write q.io/a:"],
    ["//q.io/a", "Write q.io/a:"],
    [" q.io/a", "Write q.io/a:"],
    ["q.io/a ", "Write q.io/a:"],
    ["q.io/a\t", "Write q.io/a:"],
    ["docker://q.io/a", "Write q.io/a:"],
    ["myhost:5000//a", "Write myhost:5000/a:"],
    ["team/app", "docker.io/team/app, perhaps"],
    ["busybox:1.36", "docker.io/library/busybox:1.36, perhaps"],
    ["dоcker.io/a/b", "Write docker.io/a/b if that is meant"],
    ["*", 'Write ""'],
    ["*/*", 'Write ""'],
    [`q.io/a:1@sha256:${"0".repeat(64)}`, "Write q.io/a@sha256:0"],
    ["Q.io//A", "Write q.io/a:"],
  ] as const)("%j", async ([scope, remedy]) => {
    expect(await check({ docker: { "q.io/fine": REJECT, [scope]: ACCEPT } })).toMatchObject([
      {
        severity: "error",
        path: `transports.docker["${scope.replace("\t", "\\u{9}")}"]`,
        line: 14,
        problem: "can match no image",
        remedy: expect.stringContaining(remedy),
      },
    ]);
  });
});

describe("checkPolicy, of scopes that match what nobody asks for, warns of", () => {
  test.for([
    ["a host in capitals", "Registry.Example.com:5000/a", "Write registry.example.com:5000/a."],
    ["a well-known host in capitals", "QUAY.IO/a", "Write quay.io/a "],
    ["library, misspelt", "docker.io/libary/busybox", "Write docker.io/library/busybox "],
  ] as const)("%s", async ([, scope, remedy]) => {
    expect(await check({ docker: { [scope]: ACCEPT } })).toMatchObject([
      { severity: "warning", remedy: expect.stringContaining(remedy) },
    ]);
  });

  test.for([
    ["q.io/a", "q.io:5000/b", "q.io:5000/a"],
    ["q.io", "q.io:5000/b", "q.io:5000"],
    ["localhost/a", "localhost:5000", "localhost:5000/a"],
  ] as const)("%s beside %s", async ([scope, other, meant]) => {
    expect(await check({ docker: { [scope]: ACCEPT, [other]: ACCEPT } })).toMatchObject([
      {
        severity: "warning",
        path: `transports.docker["${scope}"]`,
        problem: expect.stringContaining(`covers nothing of ${meant.split("/")[0]},`),
        remedy: expect.stringContaining(`write ${meant},`),
      },
    ]);
  });

  test.for([
    ["q.io", "q.io:5000"],
    ["q.io:5001/a", "q.io:5000/a"],
    ["*.q.io", "r.q.io:5000"],
    ["icr.io/a", "gcr.io/a"],
    ["docker.io/libraries", "docker.io/library"],
  ] as const)("neither %s nor %s", async ([one, other]) => {
    const problems = await check({ docker: { [one]: ACCEPT, [other]: ACCEPT } });
    expect(problems.filter(({ problem }) => !problem.includes("of that name has"))).toEqual([]);
  });

  test("what is in capitals is the same image to nobody", async () => {
    const policy = parsePolicy(text({ docker: { "Q.io/a": ACCEPT } }));
    const { evaluate } = createPolicyEvaluator({ policy });
    const ask = async (name: string) =>
      (await evaluate({ transport: "docker", reference: parseReference(name) })).allowed;
    expect([await ask("Q.io/a"), await ask("q.io/a")]).toEqual([true, false]);
  });
});

describe("checkPolicy, of transports that there are none of,", () => {
  test.for([
    ["Docker", "Write docker."],
    ["docker ", "Write docker."],
    ["docker-deamon", "Write docker-daemon."],
    ["OCI", "Write oci."],
    ["quay.io", "scopes stand below it"],
  ] as const)("%j is an error, with what to write", async ([transport, remedy]) => {
    expect(await check({ [transport]: { "": ACCEPT } })).toMatchObject([
      {
        severity: "error",
        path: `transports.${transport}`,
        remedy: expect.stringContaining(remedy),
      },
    ]);
  });

  test("and loading warns of each", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "policy.json");
    await writeFile(
      path,
      text({ Docker: { "": REJECT }, docker: { "q.io//a": REJECT, "qauy.io": REJECT } }),
    );
    expect((await loadPolicy({ path })).warnings).toEqual([
      `${path}: transports.Docker in line 8 is no transport that images come by`,
      `${path}: transports.docker["q.io//a"] in line 16 can match no image`,
    ]);
  });
});

async function check(transports: object) {
  return await checkPolicy(parsePolicy(text(transports)));
}

function text(transports: object): string {
  return JSON.stringify({ default: REJECT, transports }, undefined, 2);
}
