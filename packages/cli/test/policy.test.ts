import { mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const ACCEPT = [{ type: "insecureAcceptAnything" }];
const REJECT = [{ type: "reject" }];
const SIGNED = [{ type: "signedBy", keyType: "GPGKeys", keyPaths: [] }];

describe("policy explain", () => {
  test("says file, scope, requirement and remedy, online and of a local image, and writes nothing", async () => {
    await using world = await openCliWorld();
    expect(await world.ok("policy", "explain", "--tls-verify=false", world.image)).toMatch(
      /is allowed by .*policy\.json/,
    );
    expect(await world.ok("images", "--format", "json")).toBe("[]");
    await world.ok("pull", "--tls-verify=false", world.image);
    const scope = `${world.host}/shell`;
    await writePolicy(world, { default: REJECT, transports: { docker: { [scope]: SIGNED } } });
    const local = await world.run(["policy", "explain", "--local", world.image]);
    expect(local).toMatchObject({ code: 7, stderr: "" });
    expect(local.stdout).toContain(`${world.image} is REJECTED by ${world.path}/policy.json`);
    expect(local.stdout).toContain(`scope: scope "${scope}" of docker`);
    expect(local.stdout).toContain("to pass: ");
    const json = ["policy", "explain", "--tls-verify=false", "--format", "json", world.image];
    const online = await world.run(json);
    expect(online.code).toBe(7);
    expect(JSON.parse(online.stdout)).toMatchObject({
      allowed: false,
      image: world.image,
      manifestDigest: world.digest,
      scope: { kind: "namespace", text: scope },
      requirements: [{ type: "signedBy", allowed: false, remedy: expect.any(String) }],
      places: [{ kind: "lookaside" }, { kind: "attachments" }, { kind: "referrers" }],
    });
  });

  test("judges an image in files by the scopes of its transport", async () => {
    await using world = await openCliWorld();
    const folder = join(world.path, "folder");
    const copy = ["copy", "--src-tls-verify=false", `docker://${world.image}`];
    await world.ok(...copy, `dir:${folder}`);
    await world.ok(...copy, `oci:${join(world.path, "layout")}:app`);
    await writePolicy(world, { default: REJECT, transports: { dir: { [world.path]: SIGNED } } });
    const dir = await world.run(["policy", "explain", `dir:${folder}`]);
    expect(dir).toMatchObject({ code: 7, stderr: "" });
    expect(dir.stdout).toContain(`scope "${world.path}" of dir`);
    expect(dir.stdout).toContain(`folder: ${folder}/signature-N: 0`);
    const json = ["policy", "explain", "--format", "json", `oci:${join(world.path, "layout")}:app`];
    const oci = await world.run(json);
    expect(oci.code).toBe(7);
    expect(JSON.parse(oci.stdout)).toMatchObject({ transport: "oci", scope: { kind: "default" } });
    expect(await world.ok("images", "--format", "json")).toBe("[]");
    expect((await world.run(["policy", "explain", "--local", `dir:${folder}`])).code).toBe(2);
  });

  test("a rejected pull prints the short form, and what would pass", async () => {
    await using world = await openCliWorld();
    await writePolicy(world, { default: SIGNED });
    const { code, stderr } = await world.run(["pull", "--tls-verify=false", world.image]);
    expect(code).toBe(7);
    expect(stderr).toMatch(
      /is rejected by policy \(.*policy\.json, the default.*, requirement 1 of 1, signedBy: a GPG signature is required, and there is none in file:.*\/shell@sha256=[0-9a-f]{64}\/signature-1 /,
    );
    expect(stderr).toMatch(/\n {2}If its signatures are elsewhere, write docker: \{/);
  });
});

describe("what a policy only reports", () => {
  test("is a warning that says so, and as JSON a field of its own", async () => {
    await using world = await openCliWorld();
    await writePolicy(world, { default: [{ type: "audit", requirements: REJECT }] });
    const pull = ["pull", "--tls-verify=false", world.image];
    const text = await world.run(pull);
    expect(text.code).toBe(0);
    expect(text.stderr).toContain(
      "reject: it denies every image. The policy only reports that (audit): else it would refuse the image.\n",
    );
    const json = await world.run([...pull, "--format", "json"]);
    expect(JSON.parse(json.stderr)).toEqual({
      warning: {
        message: expect.stringContaining("only reports"),
        audit: "reject: it denies every image",
      },
    });
    await writePolicy(world, {
      default: [{ type: "insecureAcceptAnything" }],
      transports: {
        docker: { "q.io": [{ type: "signedBy", keyType: "GPGKeys", keyPath: "/none" }] },
      },
    });
    const other = await world.run([...pull, "--format", "json"]);
    expect(JSON.parse(other.stderr)).toEqual({ warning: { message: expect.any(String) } });
  });
});

describe("a key that is none", () => {
  test("is told once by a pull, and without what the system says", async () => {
    await using world = await openCliWorld();
    const garbage = join(world.path, "garbage.asc");
    await writeFile(garbage, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx");
    for (const [keyPath, problem] of [
      ["/none.asc", "/none.asc is not there"],
      [
        garbage,
        `${garbage} holds no OpenPGP public key, but the beginning of one, without its end`,
      ],
    ] as const) {
      const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath };
      await writePolicy(world, { default: [gpg] });
      const { code, stderr } = await world.run(["pull", "--tls-verify=false", world.image]);
      expect(code).toBe(7);
      expect(stderr.split(problem)).toHaveLength(2);
      expect(stderr).toContain(`signedBy: ${problem})\n`);
    }
  });
});

describe("a --registries-d that does not exist", () => {
  test("is an error by its name, before any registry is asked", async () => {
    await using world = await openCliWorld();
    const none = join(world.path, "registires.d");
    const image = "127.0.0.1:1/nobody/listens:1";
    for (const command of [
      ["pull", image],
      ["policy", "explain", image],
      ["policy", "check"],
      ["copy", `docker://${image}`, "store:a:1"],
    ]) {
      const { code, stderr } = await world.run(["--registries-d", none, ...command]);
      expect(stderr).toContain(`${none}: there is no such directory`);
      expect(code).toBe(1);
    }
  });
});

describe("policies of namespaces", () => {
  test("are asked for by --namespace, and for containers by their pod's", async () => {
    await using world = await openCliWorld();
    const tenants = join(world.path, "tenants");
    await mkdir(tenants);
    await writeFile(join(tenants, "strict.json"), JSON.stringify({ default: REJECT }));
    const run = async (...args: string[]): Promise<number | null> => {
      const { code, stderr } = await world.run(["--policy-dir", tenants, ...args]);
      if (code === 7) expect(`${args[0]} ${stderr}`).toMatch(/^policy |tenants\/strict\.json/);
      return code;
    };
    const pull = ["pull", "--tls-verify=false", world.image];
    const explain = ["policy", "explain", "--tls-verify=false", world.image];
    const copy = ["copy", "--tls-verify=false", `docker://${world.image}`, "store:a/b:1"];
    for (const command of [pull, explain, copy]) {
      expect(await run(...command, "--namespace", "strict")).toBe(7);
    }
    for (const command of [pull, explain, copy]) {
      expect(await run(...command, "--namespace", "other")).toBe(0);
    }
    expect(await run("run", "--namespace", "strict", world.image)).toBe(125);
    for (const namespace of ["strict", "other"]) {
      await world.ok("pod", "create", namespace, "--namespace", namespace);
    }
    expect(await run("create", "--pod", "strict", world.image)).toBe(7);
    expect(await run("create", "--pod", "other", world.image)).toBe(0);
    const alone = await world.run([...pull, "--namespace", "strict"]);
    expect(alone).toMatchObject({ code: 2, stderr: expect.stringContaining("--policy-dir") });
    expect(await run(...pull, "--namespace", "../policy")).toBe(2);
  });
});

describe("V88 a policy older than the last one", () => {
  test("is told by the next process, which it does not stop", async () => {
    await using world = await openCliWorld();
    const file = join(world.path, "policy.json");
    const quiet = expect.not.stringContaining("policy");
    const pull = ["pull", "--tls-verify=false", world.image];
    expect(await world.run(pull)).toMatchObject({ code: 0, stderr: quiet });
    await writePolicy(world, { default: ACCEPT, transports: { docker: { "q.io": REJECT } } });
    await utimes(file, new Date("2026-01-01"), new Date("2026-01-01"));
    const { code, stderr } = await world.run(pull);
    expect(code).toBe(0);
    expect(stderr).toMatch(/policy\.json: was written at 2026-01-01T.*touch it if that is meant/);
    await utimes(file, new Date(), new Date());
    expect(await world.run(pull)).toMatchObject({ code: 0, stderr: quiet });
  });
});

describe("policy check", () => {
  test("tells of each mistake with what to do, and ends with 7", async () => {
    await using world = await openCliWorld();
    const sigstore = { type: "sigstoreSigned", keyPath: "/none.pub" };
    const file = join(world.path, "other.json");
    const docker = { busybox: ACCEPT, "quay.io/a": [sigstore] };
    await writeFile(file, JSON.stringify({ default: REJECT, transports: { docker } }));
    await mkdir(join(world.path, "registries.d"));
    const args = ["--registries-d", join(world.path, "registries.d"), "policy", "check", file];
    const { code, stdout } = await world.run(args);
    expect(code).toBe(7);
    expect(stdout).toMatch(
      /error: .*busybox.* can match no image\n {2}.*docker\.io\/library\/busybox/,
    );
    expect(stdout).toMatch(/error: .*\/none\.pub is not there\n/);
    expect(stdout).toMatch(/error: .*beside the image.*\n {2}.*use-sigstore-attachments: true/);
    await writeFile(
      join(world.path, "registries.d/a.yaml"),
      'docker:\n  "quay.io:5000": {lookaside: file:///srv}\n',
    );
    await writeFile(join(world.path, "registries.d/b.conf"), "");
    const more = (await world.run(args)).stdout;
    expect(more).toMatch(
      /warning: .*\/a\.yaml has docker\["quay\.io:5000"\] in line 2, which covers nothing of quay\.io/,
    );
    expect(more).toMatch(/warning: .*\/b\.conf is not read/);
    const json = await world.run([...args, "--format", "json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ file, problems: expect.any(Array) });
  });

  test("finds no mistake in a policy that is well, and a broken one is an error", async () => {
    await using world = await openCliWorld();
    await writePolicy(world, { default: REJECT });
    expect(await world.ok("policy", "check")).toMatch(/no mistakes found/);
    await writePolicy(world, { default: [] });
    expect(await world.run(["policy", "check"])).toMatchObject({ code: 7, stdout: "" });
  });

  test("goes on past a file of registries.d that is none, and ends as a pull does", async () => {
    await using world = await openCliWorld();
    const folder = join(world.path, "registries.d");
    await mkdir(folder);
    const sigstore = { type: "sigstoreSigned", keyPath: "/none.pub" };
    const docker = { [world.host]: [sigstore], "q.io": REJECT };
    await writePolicy(world, { default: REJECT, transports: { docker } });
    const [a, b, c] = ["a", "b", "c"].map((name) => join(folder, `${name}.yaml`));
    await writeFile(a ?? "", "docker: [");
    await writeFile(b ?? "", "docker:\n  q.io: {lookasid: a}\n  r.io: {lookaside: 1}\n");
    await writeFile(c ?? "", "docker:\n  q.io: {}\n");
    const args = ["--registries-d", folder];
    const pulled = await world.run([...args, "pull", "--tls-verify=false", world.image]);
    const { code, stdout, stderr } = await world.run([...args, "policy", "check"]);
    expect(code).toBe(pulled.code);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    for (const words of [
      `error: ${a} is no YAML that can be read`,
      `error: ${b} line 3, docker["r.io"].lookaside is not a string`,
      `error: ${c} line 2, docker["q.io"] is in ${b}, line 2, already\n  Merge the two: `,
      `warning: ${b} has docker["q.io"].lookasid in line 2, which means nothing there\n  Write lookaside.`,
      "/none.pub is not there",
    ]) {
      expect(stdout).toContain(words);
    }
    // What cannot be read may well enable them.
    expect(stdout).not.toContain("beside the image");
    for (const file of [a, b, c]) await writeFile(file ?? "", "");
    expect((await world.run([...args, "policy", "check"])).code).toBe(7);
  });

  test("of a file that is missing, says how to write that one", async () => {
    await using world = await openCliWorld();
    const file = join(world.path, "other.json");
    const { code, stderr } = await world.run(["policy", "check", file]);
    expect(code).toBe(7);
    expect(stderr).toContain(`stowage policy init --policy ${file}`);
    expect(stderr).not.toContain(join(world.path, "policy.json"));
  });
});

async function writePolicy(world: CliWorld, policy: object): Promise<void> {
  await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
}
