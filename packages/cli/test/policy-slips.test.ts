import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const ACCEPT = [{ type: "insecureAcceptAnything" }];
const SIGNED = [{ type: "signedBy", keyType: "GPGKeys", keyPaths: [] }];

describe("a misspelt scope that asks for a signature, beside a default that accepts", () => {
  test("is told of by explain, and by a pull in one line", async () => {
    await using world = await openCliWorld();
    const scope = `${world.host}/shel`;
    await writePolicy(world, { default: ACCEPT, transports: { docker: { [scope]: SIGNED } } });
    const place = `the scope "${scope}" in ${join(world.path, "policy.json")}, line 9, looks like`;
    const explain = ["policy", "explain", "--tls-verify=false", world.image];
    const told = await world.ok(...explain);
    expect(told).toContain(`note: ${place} this image's and does not match`);
    expect(told).toContain(`write "${world.host}/shell"`);
    const json = JSON.parse(await world.ok(...explain, "--format", "json"));
    expect(json).toMatchObject({
      allowed: true,
      bypassed: [{ scope, meant: `${world.host}/shell`, line: 9 }],
    });
    const pulled = await world.run(["pull", "--tls-verify=false", world.image]);
    expect(pulled.code).toBe(0);
    expect(pulled.stderr.split("\n").filter((line) => line.includes("warning"))).toEqual([
      expect.stringContaining(`${world.image} was let in unchecked: ${place}`),
    ]);
  });

  test("is nothing to warn of once it is spelt right, or asks for nothing", async () => {
    await using world = await openCliWorld();
    const pull = ["pull", "--tls-verify=false", world.image];
    const docker = { [`${world.host}/shel`]: ACCEPT };
    await writePolicy(world, { default: ACCEPT, transports: { docker } });
    const { code, stderr } = await world.run(pull);
    expect(code).toBe(0);
    expect(stderr).not.toContain("warning");
    const strict = { [`${world.host}/shell`]: SIGNED };
    await writePolicy(world, { default: ACCEPT, transports: { docker: strict } });
    expect((await world.run(pull)).code).toBe(7);
  });
});

describe("a password that was written before a scope", () => {
  test("is in nothing that pull, explain and check say, as text and as JSON", async () => {
    await using world = await openCliWorld();
    const scope = `user:geheim@${world.host}/shell`;
    const policy = { default: [{ type: "reject" }], transports: { docker: { [scope]: SIGNED } } };
    await writePolicy(world, policy);
    const commands = [
      ["policy", "check"],
      ["policy", "explain", "--tls-verify=false", world.image],
      ["pull", "--tls-verify=false", world.image],
    ];
    for (const command of commands) {
      for (const format of ["text", "json"]) {
        const { code, stdout, stderr } = await world.run([...command, "--format", format]);
        expect(code).toBe(7);
        expect(stdout + stderr).toContain(`[redacted]@${world.host}/shell`);
        expect(stdout + stderr).toMatch(/in line 9|"line": 9,/);
        expect(stdout + stderr).not.toContain("geheim");
      }
    }
    const file = join(world.path, "policy.json");
    const text = JSON.stringify(policy).replaceAll(`"${scope}":`, `"${scope}":[],"${scope}":`);
    await writeFile(file, text);
    for (const command of commands) {
      const { code, stderr } = await world.run(command);
      expect(code).toBe(7);
      expect(stderr).toContain(`"[redacted]@${world.host}/shell" stands twice`);
      expect(stderr).not.toContain("geheim");
    }
  });
});

describe("a key that is none", () => {
  test("is refused in our words alone, without what a library or the system says", async () => {
    await using world = await openCliWorld();
    const armored = join(world.path, "key.asc");
    const block = "PGP PUBLIC KEY BLOCK-----";
    await writeFile(armored, `-----BEGIN ${block}\n\nabcd\n-----END ${block}\n`);
    for (const [path, words] of [
      [join(world.path, "none.asc"), "none.asc is not there)"],
      [armored, "key.asc holds no OpenPGP public key, but one that is damaged)"],
    ] as const) {
      const requirement = { type: "signedBy", keyType: "GPGKeys", keyPath: path };
      await writePolicy(world, { default: [requirement] });
      const { code, stderr } = await world.run(["pull", "--tls-verify=false", world.image]);
      expect(code).toBe(7);
      expect(stderr).toContain(`${words}\n`);
    }
  });
});

describe("a check ends as explain and a pull do", () => {
  test("with 1 for a lookaside that is none, and with 7 for what is wrong with the policy", async () => {
    await using world = await openCliWorld();
    const folder = join(world.path, "registries.d");
    await mkdir(folder);
    await writeFile(join(folder, "a.yaml"), "default-docker: {lookaside: /srv}\n");
    const codes = async () => {
      const commands = [
        ["policy", "check"],
        ["policy", "explain", "--tls-verify=false", world.image],
        ["pull", "--tls-verify=false", world.image],
      ];
      const ran = commands.map((command) => world.run(["--registries-d", folder, ...command]));
      return (await Promise.all(ran)).map(({ code }) => code);
    };
    await writePolicy(world, { default: SIGNED });
    expect(await codes()).toEqual([1, 1, 1]);
    const keyPath = join(world.path, "none.asc");
    await writePolicy(world, { default: [{ type: "signedBy", keyType: "GPGKeys", keyPath }] });
    expect(await codes()).toEqual([7, 7, 7]);
    await writePolicy(world, { default: [] });
    expect(await codes()).toEqual([7, 7, 7]);
    await writeFile(join(folder, "a.yaml"), "default-docker: [\n");
    expect(await codes()).toEqual([1, 1, 1]);
    await writePolicy(world, { default: SIGNED });
    expect(await codes()).toEqual([1, 1, 1]);
  });
});

test.for([
  ["file:///dev/null", 5, "the lookaside file:///dev/null/"],
  ["docker://me@q.io/sigs", 1, "can be no lookaside"],
] as const)(
  "a lookaside %s, of which nothing can be read, is told of with the scope that asks for it",
  async ([lookaside, code, words]) => {
    await using world = await openCliWorld();
    await writePolicy(world, { default: ACCEPT, transports: { docker: { [world.host]: SIGNED } } });
    const folder = join(world.path, "registries.d");
    await mkdir(folder);
    await writeFile(join(folder, "a.yaml"), `default-docker: {lookaside: "${lookaside}"}`);
    const args = ["--registries-d", folder];
    const told = await world.run([...args, "policy", "explain", "--tls-verify=false", world.image]);
    const pulled = await world.run([...args, "pull", "--tls-verify=false", world.image]);
    expect(told.code).toBe(code);
    expect(pulled.code).toBe(code);
    expect(told.stderr).toContain(words);
    for (const known of [
      `${world.image} is NOT DECIDED by ${join(world.path, "policy.json")}\n`,
      `  scope: scope "${world.host}" of docker\n`,
      "  requirement 1 of 1, signedBy: DENIES: nobody knows whether it is met",
    ])
      expect(told.stdout).toContain(known);
    const checked = await world.run([...args, "policy", "check"]);
    expect(checked.code).toBe(code === 1 ? 1 : 0);
  },
);

async function writePolicy(world: CliWorld, policy: object): Promise<void> {
  await writeFile(join(world.path, "policy.json"), JSON.stringify(policy, undefined, 2));
}

describe("a scope that can match no image", () => {
  test.for([
    ["lets an image in unchecked", ACCEPT, 0, "was let in unchecked"],
    ["has an image refused", [{ type: "reject" }], 7, "which matches no image"],
  ] as const)("and %s is told of once", async ([, fallback, code, words]) => {
    await using world = await openCliWorld();
    const scope = `${world.host}/she*`;
    await writePolicy(world, { default: fallback, transports: { docker: { [scope]: SIGNED } } });
    const pulled = await world.run(["pull", "--tls-verify=false", world.image]);
    expect(pulled.code).toBe(code);
    expect(pulled.stderr).toContain(words);
    expect(pulled.stderr.split(`"${scope}"`)).toHaveLength(2);
    const told = await world.run(["policy", "explain", "--tls-verify=false", world.image]);
    expect((told.stdout + told.stderr).split(`"${scope}"`)).toHaveLength(2);
  });

  test("is told of by a pull that says nothing else of it", async () => {
    await using world = await openCliWorld();
    const docker = { "other.example.com/a*": SIGNED };
    await writePolicy(world, { default: ACCEPT, transports: { docker } });
    const { code, stderr } = await world.run(["pull", "--tls-verify=false", world.image]);
    expect(code).toBe(0);
    expect(stderr).toContain('["other.example.com/a*"] in line 9 can match no image');
  });
});

test("check names the folder where it is the folder that anybody may write", async () => {
  await using world = await openCliWorld();
  await writePolicy(world, { default: [{ type: "reject" }] });
  await chmod(world.path, 0o757);
  const { code, stdout } = await world.run(["policy", "check"]);
  expect(code).toBe(0);
  expect(stdout).toContain(`anybody may write its folder ${world.path}\n`);
  expect(stdout).toContain(`chmod go-w ${world.path}.\n`);
});
