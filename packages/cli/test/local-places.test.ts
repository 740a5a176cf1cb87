import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { buildImage, hasPeer, startDockerDaemon, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const run = promisify(execFile);
const IMAGE = buildImage({ layers: [{ entries: [{ name: "hello", content: "from us" }] }] });
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot || !hasPeer("podman"))("docker-daemon:", () => {
  test("an image goes into the daemon that DOCKER_HOST names, and into the store from there", async () => {
    await using world = await openCliWorld();
    await using daemon = await startDockerDaemon("podman");
    const env = { DOCKER_HOST: daemon.host, TMPDIR: world.path };
    const layout = join(world.path, "layout");
    await writeOciLayout(layout, { it: IMAGE });
    const into = await world.run(["copy", `oci:${layout}:it`, "docker-daemon:app:1"], { env });
    expect([into.code, into.stdout]).toEqual([0, `${IMAGE.descriptor.digest}\n`]);
    const out = ["--format", "json", "copy", "docker-daemon:app:1", "store:localhost/app:1"];
    const stored = await world.run(out, { env });
    expect(stored.stderr).not.toContain("error");
    expect(JSON.parse(stored.stdout)).toMatchObject({
      source: "docker-daemon:docker.io/library/app:1",
    });
    // The config is the image's own, whatever became of its layers.
    const images = JSON.parse(await world.ok("--format", "json", "images"));
    expect(images[0].id).toBe(configOf());
    const refused = await world.run(["push", "localhost/app:1", `docker-daemon:${configOf()}`]);
    expect(refused.code).toBe(2);
    const explain = await world.run(["policy", "explain", "docker-daemon:app:1"], { env });
    expect(explain.stdout).toContain("docker.io/library/app:1");
    expect(explain.code).toBe(0);
  });

  test("where no daemon listens, that is said, with what to do", async () => {
    await using world = await openCliWorld();
    await expectRefusal(world, 5, "ERR_REGISTRY_UNAVAILABLE", `unix://${world.path}/none`);
    await expectRefusal(world, 2, "ERR_REGISTRY_INVALID_ARGUMENT", "ssh://somewhere");
  });
});

describe.skipIf(!isRoot || !hasPeer("skopeo"))("containers-storage:", () => {
  test("an image comes out of the store that storage.conf names, what has changed being told, and goes into it", async () => {
    await using world = await openCliWorld();
    const { path } = world;
    const layout = join(path, "layout");
    await writeOciLayout(layout, { it: IMAGE });
    const conf = join(path, "storage.conf");
    await writeFile(
      conf,
      `[storage]\ndriver = "vfs"\ngraphroot = "${path}/podman"\nrunroot = "${path}/podman-run"\n`,
    );
    const env = { CONTAINERS_STORAGE_CONF: conf };
    const name = "containers-storage:docker.io/library/app:1";
    const place = `[vfs@${path}/podman+${path}/podman-run]`;
    const there = name.replace(":", `:${place}`);
    await run("skopeo", ["--insecure-policy", "copy", `oci:${layout}:it`, there]);
    const args = ["--format", "json", "copy", "containers-storage:app:1", `oci:${path}/out:it`];
    const copied = await world.run(args, { env });
    expect(copied.code).toBe(0);
    expect(JSON.parse(copied.stdout)).toMatchObject({
      source: name,
      rewrittenFrom: IMAGE.descriptor.digest,
    });
    expect(copied.stderr).toContain(IMAGE.descriptor.digest);
    const explain = await world.run(["policy", "explain", "containers-storage:app:1"], { env });
    expect(explain.stdout).toContain(`[vfs@${path}/podman]docker.io/library/app:1`);
    const into = await world.run(["copy", `oci:${layout}:it`, "containers-storage:new:1"], { env });
    expect([into.code, into.stdout]).toEqual([0, `${IMAGE.descriptor.digest}\n`]);
    const shown = await run("skopeo", ["inspect", there.replace(/app:1$/, "new:1")]);
    expect(JSON.parse(shown.stdout).Digest).toBe(IMAGE.descriptor.digest);
    const byID = ["copy", `oci:${layout}:it`, `containers-storage:@${"0".repeat(64)}`];
    expect((await world.run(byID, { env })).code).toBe(2);
    const nobody = { ...env, PATH: path };
    const refused = await world.run(["copy", `oci:${layout}:it`, name], { env: nobody });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("export podman");
    const absent = await world.run(["copy", `${name}2`, `oci:${path}/out:it`], { env });
    expect(absent.code).toBe(3);
  });
});

async function expectRefusal(
  world: CliWorld,
  code: number,
  error: string,
  host: string,
): Promise<void> {
  const args = ["--format", "json", "copy", "docker-daemon:app:1", `oci:${world.path}/out`];
  const told = await world.run(args, { env: { DOCKER_HOST: host } });
  expect(told.code).toBe(code);
  const { error: said } = JSON.parse(told.stderr.split("\n").at(-2) ?? "");
  expect(said.code).toBe(error);
  expect(said.hint).toContain("unix://");
}

function configOf(): string {
  return JSON.parse(Buffer.from(IMAGE.manifest).toString()).config.digest;
}
