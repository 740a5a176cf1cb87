import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { digestOf } from "@stowage/content";
import {
  buildImage,
  buildIndex,
  hasPeer,
  hostShellEntries,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld, type Running } from "./support/cli-world.ts";

const run = promisify(execFile);
const IMAGE = buildImage({ layers: [{ entries: hostShellEntries() }] });
const INDEX = buildIndex([IMAGE]);

describe("serve", () => {
  test("is read-only on the loopback, serves what was pulled as it was, and ends with 0", async () => {
    await using world = await openCliWorld();
    await fill(world, "registry.example.com/team/app:1");
    const { running, url } = await serve(world);
    expect(new URL(url).hostname).toBe("127.0.0.1");
    for (const path of ["registry.example.com/team/app", "team/app"]) {
      const answer = await fetch(`${url}/v2/${path}/manifests/1`);
      expect(digestOf(Buffer.from(await answer.arrayBuffer()))).toBe(INDEX.descriptor.digest);
      const tags = await fetch(`${url}/v2/${path}/tags/list`);
      expect(await tags.json()).toEqual({ name: path, tags: ["1"] });
    }
    const begun = await fetch(`${url}/v2/team/app/blobs/uploads/`, { method: "POST" });
    expect(begun.status).toBe(405);
    const host = url.replace("http://", "");
    const copied = `oci:${world.path}/copied:it`;
    await world.ok("copy", "--tls-verify=false", `docker://${host}/team/app:1`, copied);
    running.kill("SIGINT");
    const { code, stdout } = await running.outcome;
    expect([code, stdout]).toEqual([0, `${url}\n`]);
  });

  test("R19: takes pushed images in by their tag, and answers what the policy refuses with its reason", async () => {
    await using world = await openCliWorld();
    await fill(world, "localhost/other:1");
    const { running, url } = await serve(world, "--writable");
    const host = url.replace("http://", "");
    const push = (to: string) =>
      world.run(["push", "--tls-verify=false", "localhost/other:1", `${host}/${to}`]);
    expect(await push("team/app:2")).toMatchObject({ code: 0 });
    const images = JSON.parse(await world.ok("--format", "json", "images"));
    expect(images[0].names).toEqual(["localhost/team/app:2", "localhost/other:1"]);
    const foreign = await push("docker.io/library/busybox:1");
    expect([foreign.code, foreign.stderr]).toEqual([4, expect.stringContaining("docker.io")]);
    await writeFile(join(world.path, "policy.json"), '{"default":[{"type":"reject"}]}');
    const refused = await push("team/app:3");
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining("reject")]);
    expect((await fetch(`${url}/v2/team/app/manifests/3`)).status).toBe(404);
    running.kill("SIGTERM");
    expect(await running.outcome).toMatchObject({ code: 0 });
  });

  test("removes names that are deleted, and no blob that an image needs", async () => {
    await using world = await openCliWorld();
    await fill(world, "localhost/app:1");
    await world.ok("tag", "localhost/app:1", "localhost/app:2");
    const { running, url } = await serve(world, "--writable");
    const remove = async (path: string): Promise<number> =>
      (await fetch(`${url}/v2/app/${path}`, { method: "DELETE" })).status;
    const [layer] = [...IMAGE.blobs.keys()];
    expect(await remove(`blobs/${layer}`)).toBe(403);
    expect(await remove("manifests/2")).toBe(202);
    expect(await remove("manifests/2")).toBe(404);
    expect(await remove(`manifests/${INDEX.descriptor.digest}`)).toBe(202);
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toEqual([]);
    running.kill("SIGINT");
    await running.outcome;
  });

  test("lets in only who knows the password, where one is asked for", async () => {
    await using world = await openCliWorld();
    const { running, url } = await serve(world, "--creds-stdin");
    expect((await fetch(`${url}/v2/`)).status).toBe(401);
    const authorization = `Basic ${Buffer.from("me:word").toString("base64")}`;
    expect((await fetch(`${url}/v2/`, { headers: { authorization } })).status).toBe(200);
    running.kill("SIGINT");
    await running.outcome;
  });

  test("warns where others than this machine can reach it, and says what they can do", async () => {
    await using world = await openCliWorld();
    const cases: readonly (readonly [args: readonly string[], told: RegExp | undefined])[] = [
      [[], undefined],
      [["--host", "0.0.0.0"], /lets whoever reaches it read what is here; --creds-stdin/],
      [["--host", "::", "--writable"], /lets whoever reaches it read, push and remove/],
      [["--host", "0.0.0.0", "--creds-stdin"], /plain HTTP, and lets who knows the password read/],
    ];
    for (const [args, told] of cases) {
      const { running } = await serve(world, ...args);
      running.kill("SIGINT");
      const { stderr } = await running.outcome;
      if (told === undefined) expect(stderr).toBe("");
      else expect(stderr).toMatch(told);
    }
  });

  test.each([
    ["ends", "SIGINT", 0],
    ["is killed", "SIGKILL", null],
  ] as const)("an upload that is cut and a server that %s leave nothing behind", async (...how) => {
    const [, signal, code] = how;
    await using world = await openCliWorld();
    const temporary = join(world.path, "tmp");
    await mkdir(temporary);
    const running = world.start(["serve", "--port", "0", "--writable"], {
      env: { TMPDIR: temporary },
    });
    const url = (await running.printed("\n")).trim();
    const begun = await fetch(`${url}/v2/app/blobs/uploads/`, { method: "POST" });
    const location = new URL(begun.headers.get("location") ?? "", url);
    await fetch(location, { method: "PATCH", body: "half of" });
    running.kill(signal);
    expect(await running.outcome).toMatchObject({ code });
    expect(await readdir(temporary)).toEqual([]);
    expect(await readdir(join(world.path, "root/blobs/sha256"))).toEqual([]);
  });

  test.skipIf(!hasPeer("skopeo"))("R17 skopeo reads from it and writes to it", async () => {
    await using world = await openCliWorld();
    await fill(world, "localhost/app:1");
    const { running, url } = await serve(world, "--writable");
    const host = url.replace("http://", "");
    const layout = `oci:${world.path}/skopeo:it`;
    const plain = ["--insecure-policy", "copy", "--all", "--quiet"];
    await run("skopeo", [...plain, "--src-tls-verify=false", `docker://${host}/app:1`, layout]);
    await run("skopeo", [...plain, "--dest-tls-verify=false", layout, `docker://${host}/from:it`]);
    const [image] = JSON.parse(await world.ok("--format", "json", "images"));
    expect(image.names).toContain("localhost/from:it");
    expect(image.digests).toContain(`localhost/from@${INDEX.descriptor.digest}`);
    running.kill("SIGINT");
    await running.outcome;
  });
});

test("completion: bash completes commands and their flags", async () => {
  await using world = await openCliWorld();
  const script = join(world.path, "completion.bash");
  await writeFile(script, await world.ok("completion", "bash"));
  const complete = async (...words: string[]): Promise<string> => {
    const set = `COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}`;
    const text = `. ${script}; ${set}; _stowage; echo "\${COMPREPLY[*]}"`;
    return (await run("bash", ["-c", text])).stdout.trim();
  };
  expect(await complete("stowage", "pus")).toBe("push");
  expect(await complete("stowage", "copy", "--with")).toBe("--with-referrers");
  expect(await complete("stowage", "pod", "in")).toBe("inspect");
});

async function fill(world: CliWorld, name: string): Promise<void> {
  const layout = join(world.path, "layout");
  await writeOciLayout(layout, { it: INDEX });
  await world.ok("copy", `oci:${layout}:it`, `store:${name}`);
}

async function serve(
  world: CliWorld,
  ...args: string[]
): Promise<{ readonly running: Running; readonly url: string }> {
  const running = world.start(["serve", "--port", "0", ...args], { input: "me:word" });
  const url = (await running.printed("\n")).trim();
  return { running, url };
}
