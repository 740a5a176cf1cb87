import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { hasPeer, startDockerRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

const run = promisify(execFile);

describe("pull", () => {
  test("R3, R4: prints the canonical reference alone, and images lists the tag that was asked for", async () => {
    await using world = await openCliWorld();
    const canonical = await world.ok("pull", "--tls-verify=false", world.image);
    expect(canonical).toBe(`${world.host}/shell@${world.digest}`);
    const [image, ...others] = JSON.parse(await world.ok("--format", "json", "images"));
    expect(others).toEqual([]);
    expect(image).toMatchObject({
      names: [world.image],
      digests: [canonical],
      canonical,
      pinned: false,
    });
    expect(Object.keys(image).toSorted()).toEqual([
      "canonical",
      "digests",
      "id",
      "names",
      "pinned",
      "platform",
      "size",
    ]);
  });

  test("R3 --require-tag-match: a tag that names another digest than the reference is a failure", async () => {
    await using world = await openCliWorld();
    const tls = "--tls-verify=false";
    const pinned = `${world.image}@${world.digest}`;
    await world.ok("pull", tls, "--require-tag-match", pinned);
    await world.put("shell", "1", { layers: [] });
    const moved = await world.run(["--format", "json", "pull", tls, "--require-tag-match", pinned]);
    expect(moved.code).not.toBe(0);
    expect(JSON.parse(moved.stderr).error.code).toBe("ERR_IMAGE_TAG_MISMATCH");
    expect((await world.run(["pull", tls, pinned])).code).toBe(0);
  });

  test("tells progress on stderr, and nothing there with --quiet", async () => {
    await using world = await openCliWorld();
    const told = await world.run(["pull", "--tls-verify=false", world.image]);
    expect(told.stderr).toContain("unpacked");
    await world.ok("rmi", world.image);
    const quiet = await world.run(["--quiet", "pull", "--tls-verify=false", world.image]);
    expect([quiet.code, quiet.stderr]).toEqual([0, ""]);
  });

  test("two processes pull the same image at once: both succeed, one copy", async () => {
    await using world = await openCliWorld();
    const pulls = [1, 2, 3].map(() => world.run(["pull", "--tls-verify=false", world.image]));
    for (const { code, stdout, stderr } of await Promise.all(pulls)) {
      expect([code, stdout, stderr && ""]).toEqual([
        0,
        `${world.host}/shell@${world.digest}\n`,
        "",
      ]);
    }
    expect(JSON.parse(await world.ok("--format=json", "images"))).toHaveLength(1);
  });

  test("A09: an interrupt in the middle ends with 130, nothing is half visible, and the next pull works", async () => {
    await using world = await openCliWorld();
    const big = Buffer.alloc(64 * 1024 * 1024, "incompressible?");
    await world.put("big", "1", {
      layers: [
        { entries: [{ name: "a", content: big }], compression: "none" },
        { entries: [{ name: "b", content: big }], compression: "none" },
      ],
    });
    const pull = world.start(["pull", "--tls-verify=false", `${world.host}/big:1`]);
    await pull.shown("resolved");
    pull.kill("SIGINT");
    const { code, stdout } = await pull.outcome;
    expect([code, stdout]).toEqual([130, ""]);
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toEqual([]);
    await world.ok("pull", "--tls-verify=false", `${world.host}/big:1`);
  });

  test("fails closed without a policy, and the command that it names mends it", async () => {
    await using world = await openCliWorld();
    await rm(join(world.path, "policy.json"));
    const refused = await world.run(["pull", "--tls-verify=false", world.image]);
    expect([refused.code, refused.stdout]).toEqual([7, ""]);
    expect(refused.stderr).toContain("stowage policy init");
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toEqual([]);
    await world.ok("policy", "init", "--trust", world.host);
    await world.ok("pull", "--tls-verify=false", world.image);
  });

  test("R19: a policy that rejects is exit code 7, and nothing is stored", async () => {
    await using world = await openCliWorld();
    await world.ok("policy", "init", "--force", "--trust", "registry.example.com/team");
    const { code, stderr } = await world.run(["pull", "--tls-verify=false", world.image]);
    expect(code).toBe(7);
    expect(stderr).toContain("policy.json");
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toEqual([]);
  });

  test.runIf(hasPeer("docker-registry") && hasPeer("htpasswd"))(
    "takes credentials from standard input (if docker-registry and htpasswd are installed)",
    async () => {
      await using world = await openCliWorld();
      const { stdout: htpasswd } = await run("htpasswd", ["-Bbn", "user", "secret word"]);
      await using registry = await startDockerRegistry({ htpasswd });
      const args = ["pull", "--tls-verify=false", "--creds-stdin", `${registry.host}/none:1`];
      const wrong = await world.run(args, { input: "user:wrong\n" });
      expect([wrong.code, wrong.stderr.includes("wrong")]).toEqual([4, false]);
      const right = await world.run(args, { input: "user:secret word\n" });
      expect([right.code, right.stderr.includes("secret")]).toEqual([3, false]);
    },
  );
});

describe("names", () => {
  test("R7: untag takes a name, and the image with the last one", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    expect(await world.ok("tag", world.image, "localhost/other:2")).toBe("localhost/other:2");
    expect(await world.ok("untag", world.image)).toBe(`untagged ${world.image}`);
    const last = JSON.parse(await world.ok("--format", "json", "untag", "localhost/other:2"));
    expect(last).toMatchObject({
      names: ["localhost/other:2"],
      id: expect.stringMatching(/^sha256:/),
    });
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toEqual([]);
  });

  test("rmi takes one name and says under which others the image stays; by ID it takes all", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const [{ id }] = JSON.parse(await world.ok("--format", "json", "images"));
    const others = ["quay.io/team/app:2", "localhost/app:1"];
    for (const name of others) await world.ok("tag", world.image, name);
    const named = await world.run(["rmi", world.image]);
    expect(named).toMatchObject({ code: 0, stdout: `untagged ${world.image}\n` });
    for (const name of others) expect(named.stderr).toContain(name);
    expect(JSON.parse(await world.ok("--format", "json", "rmi", "localhost/app:1"))).toEqual({
      names: ["localhost/app:1"],
    });
    await world.ok("tag", id, "localhost/app:3");
    expect(JSON.parse(await world.ok("--format", "json", "rmi", id.slice(7, 19)))).toEqual({
      names: ["localhost/app:3", "quay.io/team/app:2"],
      id,
    });
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toEqual([]);
  });

  test("rmi of the digest that pull printed takes the names of that repository", async () => {
    await using world = await openCliWorld();
    const canonical = await world.ok("pull", "--tls-verify=false", world.image);
    await world.ok("tag", world.image, "quay.io/team/app:2");
    await world.ok("tag", world.image, `${world.host}/shell:2`);
    expect(JSON.parse(await world.ok("--format", "json", "rmi", canonical))).toEqual({
      names: [`${world.host}/shell:2`, world.image],
    });
    const [{ id, names }] = JSON.parse(await world.ok("--format", "json", "images"));
    expect(names).toEqual(["quay.io/team/app:2"]);
    const left = `quay.io/team/app@${world.digest}`;
    expect(JSON.parse(await world.ok("--format", "json", "rmi", left))).toEqual({ names, id });
  });

  test("R6: inspect takes a beginning of the ID, and shows manifest, config and layers", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const [{ id }] = JSON.parse(await world.ok("--format", "json", "images"));
    for (const name of [id, id.slice(7, 19), id.slice(0, 12), world.image]) {
      const shown = JSON.parse(await world.ok("inspect", name));
      expect(shown).toMatchObject({
        id,
        config: { os: "linux" },
        manifest: { schemaVersion: 2 },
        layers: [{}],
      });
    }
  });
});
