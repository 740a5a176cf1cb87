import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { buildImage, hasPeer, requirePeer, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { idOf, openPodman, type PodmanStore } from "./support/podman-store.ts";
import { CAN_MOUNT, openRuntimeWorld } from "./support/runtime-world.ts";

const HAS_PEERS = CAN_MOUNT && hasPeer("podman") && hasPeer("skopeo");
const NAME = "localhost/app:1";
const IMAGE = buildImage({ layers: [{ entries: [{ name: "a", content: "a" }] }] });
const ANOTHER = buildImage({ layers: [{ entries: [{ name: "b", content: "b" }] }] });

interface World extends AsyncDisposable {
  readonly path: string;
  readonly layout: string;
  readonly podman: PodmanStore;
  /** Copies to the store by this script in the place of skopeo. */
  copyBy(script: string, changes?: object): Promise<unknown>;
}

describe("a program that writes podman's store", () => {
  test("is named where none is on PATH, with what to do instead, before anything is spooled", async () => {
    await using world = await openWorld();
    const copying = world.podman.copy(`oci:${world.layout}:it`, world.podman.place + NAME, {
      path: join(world.path, "empty"),
    });
    const code = "ERR_RUNTIME_PODMAN_NOT_INSTALLED";
    await expect(copying).rejects.toMatchObject({ code });
    await expect(copying).rejects.toHaveProperty("hint", expect.stringContaining("export podman"));
    expect(await world.podman.spooled()).toEqual([]);
  });

  test("that fails is told by name, exit code and last words, without what signs a URL", async () => {
    await using world = await openWorld();
    const line = String.raw`time="…" level=fatal msg="reading \"https://me:hunter2@host/b?sig=s3cret\": \x1b[2J"`;
    const copying = world.copyBy(`echo early >&2\nprintf '%s\\n' '${line}' >&2\nexit 3`);
    await expect(copying).rejects.toMatchObject({ code: "ERR_RUNTIME_PODMAN_FAILED" });
    const message = await copying.then(String, String);
    expect(message).toMatch(/skopeo ends with 3: .*https:\/\/host\/b/);
    expect(message).not.toMatch(/hunter2|s3cret|\u001b|early/);
    const killed = world.copyBy("kill -9 $$");
    await expect(killed).rejects.toMatchObject({ code: "ERR_RUNTIME_PODMAN_FAILED" });
    expect(await world.podman.spooled()).toEqual([]);
  });

  test("gets no shell, no credentials, no proxy and no way to a registry", async () => {
    await using world = await openWorld();
    const secrets = {
      REGISTRY_AUTH_FILE: "/auth",
      HTTPS_PROXY: "http://p:1",
      CONTAINER_HOST: "x",
      AWS_SECRET_ACCESS_KEY: "k",
      LD_PRELOAD_X: "1",
    };
    const env = { ...secrets, STORAGE_OPTS: "kept" };
    const script = `/usr/bin/env > ${world.path}/env\nprintf '%s\\n' "$@" > ${world.path}/args\n/bin/cat "$2" > ${world.path}/policy\nexit 1`;
    await expect(world.copyBy(script, { env })).rejects.toThrow("ends with 1");
    const given = await readFile(join(world.path, "env"), "utf8");
    for (const name of Object.keys(secrets)) expect(given).not.toContain(`${name}=`);
    expect(given).toContain("STORAGE_OPTS=kept");
    const args = (await readFile(join(world.path, "args"), "utf8")).trim().split("\n");
    expect(args.at(-1)).toBe(`${world.podman.place}${NAME}`);
    expect(args.filter((arg) => arg.includes("://"))).toEqual([]);
    const policy = JSON.parse(await readFile(join(world.path, "policy"), "utf8"));
    expect(policy.default).toEqual([{ type: "reject" }]);
    expect(Object.keys(policy.transports).toSorted()).toEqual(["dir", "oci-archive"]);
  });

  test("dies with all that it started when the copy is given up", async () => {
    await using world = await openWorld();
    const pids = join(world.path, "pids");
    const aborting = new AbortController();
    const script = `/bin/sleep 600 &\necho $$ $! > ${pids}.new\n/bin/mv ${pids}.new ${pids}\nwait`;
    const copying = world.copyBy(script, { signal: aborting.signal });
    const ended = expect(copying).rejects.toBe("given up");
    await expect.poll(() => readFile(pids, "utf8").catch(() => ""), POLL).toMatch(/\d+ \d+/);
    aborting.abort("given up");
    await ended;
    for (const pid of (await readFile(pids, "utf8")).trim().split(" ")) {
      await expect.poll(() => stateOf(pid), POLL).toMatch(/^(?:Z|gone)$/);
    }
    expect(await world.podman.spooled()).toEqual([]);
  });

  test("finds what a copy that was killed had spooled gone with the next one", async () => {
    await using world = await openWorld();
    const { podman, layout } = world;
    const path = await writeProgram(world.path, `echo $$ > ${world.path}/pid\nexec /bin/sleep 600`);
    const env = { ...process.env, PATH: path, TMPDIR: podman.spool };
    const options = JSON.stringify({
      root: join(world.path, "root"),
      runRoot: join(world.path, "run"),
      env,
    });
    const script = fileURLToPath(new URL("support/copy-once.ts", import.meta.url));
    const args = [
      "--conditions=@stowage/source",
      script,
      options,
      `oci:${layout}:it`,
      podman.place + NAME,
    ];
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    await expect
      .poll(() => readFile(join(world.path, "pid"), "utf8").catch(() => ""), POLL)
      .toMatch(/\d+/);
    const abandoned = await podman.spooled();
    const failing = world.copyBy("exit 1");
    await expect(failing).rejects.toMatchObject({ code: "ERR_RUNTIME_PODMAN_FAILED" });
    // Its maker lives.
    expect(await podman.spooled()).toEqual(abandoned);
    child.kill("SIGKILL");
    await once(child, "close");
    process.kill(Number(await readFile(join(world.path, "pid"), "utf8")), "SIGKILL");
    expect(abandoned).toHaveLength(1);
    expect(await podman.spooled()).toEqual(abandoned);
    await expect(world.copyBy("exit 1")).rejects.toThrow("ends with 1");
    expect(await podman.spooled()).toEqual([]);
  });

  test.skipIf(!HAS_PEERS)(
    "is held to what it was given: nothing, or another image, is no copy",
    async () => {
      await using world = await openWorld();
      const { podman, layout } = world;
      const mismatch = { code: "ERR_CONTENT_DIGEST_MISMATCH" };
      await podman.copy(`oci:${layout}:other`, `${podman.place}localhost/other:1`);
      await expect(world.copyBy("exit 0")).rejects.toMatchObject(mismatch);
      const another = `exec ${requirePeer("skopeo")} --insecure-policy copy oci:${layout}:other "${podman.place}${NAME}"`;
      const changed = world.copyBy(another);
      await expect(changed).rejects.toMatchObject(mismatch);
      await expect(changed).rejects.toThrow(idOf(ANOTHER));
    },
  );
});

const POLL = { timeout: 20_000 };

async function openWorld(): Promise<World> {
  const world = await openRuntimeWorld();
  const { path } = world;
  const podman = await openPodman(world, "vfs");
  const layout = join(path, "layout");
  await writeOciLayout(layout, { it: IMAGE, other: ANOTHER });
  return {
    path,
    layout,
    podman,
    async copyBy(script, changes = {}) {
      const only = await writeProgram(path, script);
      return podman.copy(`oci:${layout}:it`, podman.place + NAME, { path: only, ...changes });
    },
    async [Symbol.asyncDispose]() {
      await podman[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
    },
  };
}

/** A folder for `PATH` in which this script is skopeo. */
async function writeProgram(path: string, script: string): Promise<string> {
  const folder = join(path, "bin");
  await mkdir(folder, { recursive: true });
  const file = join(folder, "skopeo");
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return folder;
}

async function stateOf(pid: string): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat === "" ? "gone" : (stat.slice(stat.lastIndexOf(")") + 2).split(" ")[0] ?? "");
}
