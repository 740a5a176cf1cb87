import { spawn } from "node:child_process";
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { CONFIG_FILE, type OciConfig } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { isInstalled } from "./support/private-mounts.ts";
import { CAN_MOUNT, openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

const SUPPORT = join(import.meta.dirname, "support");
const RUNNABLE = CAN_MOUNT && isInstalled("runc");
const WHY_NOT = RUNNABLE ? "" : " (needs root and runc)";

describe("pull", () => {
  test("R2 R4: gives the canonical reference, and lists the image under the tag asked for", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const { canonical } = await world.runtime.images.pull(served.name, {});
    expect(canonical).toBe(`${served.host}/shell@${served.digest}`);
    const images = await world.runtime.images.listImages();
    expect(images.map(({ names, digests }) => ({ names, digests }))).toEqual([
      { names: [served.name], digests: [canonical] },
    ]);
  });

  test("R1: asks with the caller's own credentials, never with the runtime's", async () => {
    const right = { username: "me", password: "secret" };
    const wrong = { username: "me", password: "wrong" };
    await using served = await serveShellImage({ auth: right });
    await using world = await openRuntimeWorld({ credentials: right });
    const { images } = world.runtime;
    expect(await images.canPull(served.name, {})).toBe(true);
    const refused = { kind: "AuthFailed" };
    const asked = images.canPull(served.name, { source: { credentials: wrong } });
    await expect(asked).rejects.toMatchObject(refused);
    const fromFile = { source: { authfile: join(world.path, "auth.json") } };
    await expect(images.pull(served.name, fromFile)).rejects.toMatchObject(refused);
    await images.pull(served.name, {});
    const again = images.pull(served.name, { source: { credentials: wrong } });
    await expect(again).rejects.toMatchObject(refused);
  });

  test("R19: without any policy nothing is pulled, and the error says what to do", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld({ policyPath: "/nowhere/policy.json" });
    await expect(world.runtime.images.pull(served.name, {})).rejects.toMatchObject({
      hint: expect.stringContaining("stowage policy init"),
    });
    expect(await world.runtime.images.listImages()).toEqual([]);
  });

  test("V88: a policy that is older than the one before is told of, and is in force", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const { images } = world.runtime;
    const path = join(world.path, "policy.json");
    await images.pull(served.name);
    expect(world.warnings).toEqual([]);
    await utimes(path, new Date(0), new Date(0));
    await images.pull(served.name);
    expect(world.warnings).toEqual([expect.stringContaining("1970-01-01T00:00:00.000Z")]);
    await utimes(path, new Date(), new Date());
    await images.pull(served.name);
    expect(world.warnings).toHaveLength(1);
  });

  test("R19: a policy that rejects keeps the image out", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await reject(world);
    await expect(world.runtime.images.pull(served.name, {})).rejects.toMatchObject({
      kind: "PolicyRejected",
    });
    expect(await world.runtime.images.listImages()).toEqual([]);
  });

  test("two processes pull the same image at once: both succeed, one copy", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const pulls = await Promise.all([
      pullElsewhere(world, served.name),
      pullElsewhere(world, served.name),
    ]);
    const line = `${served.host}/shell@${served.digest}\n`;
    expect(pulls).toEqual([
      { code: 0, stdout: line, stderr: "" },
      { code: 0, stdout: line, stderr: "" },
    ]);
    expect(await world.runtime.images.listImages()).toHaveLength(1);
    expect(await readdir(join(world.path, "root/layers"))).toHaveLength(2);
    expect(await readdir(join(world.path, "root/blobs/sha256"))).toHaveLength(4);
  });

  test("cancelled anywhere, leaves nothing half-visible, and the next pull works", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    for (const type of ["resolved", "blob-start", "blob-done", "unpack-start", "unpack-done"]) {
      const controller = new AbortController();
      const reason = new Error(`cancelled at ${type}`);
      const pull = world.runtime.images.pull(served.name, {
        signal: controller.signal,
        onProgress: (event) => event.type === type && controller.abort(reason),
      });
      const end = await pull.then(
        () => "pulled",
        (error: unknown) => error,
      );
      // What earlier rounds fetched is not fetched again, so a late event may not come.
      expect([reason, "pulled"]).toContain(end);
      if (end === "pulled") await world.runtime.images.removeImage(served.name);
      expect(await world.runtime.images.listImages()).toEqual([]);
    }
    await world.runtime.images.pull(served.name, {});
    expect(await world.runtime.images.listImages()).toHaveLength(1);
  });
});

describe.skipIf(!RUNNABLE)(`startContainer${WHY_NOT}`, () => {
  test("R14 PM-31 PM-32: twice, after the run root was wiped: same template, fresh mount", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const { id, workDir } = await createShell(world, served.name);
    const template = await readFile(join(workDir, CONFIG_FILE));
    const first = await world.runtime.startContainer(id);
    expect((await readConfig(first.bundle)).root.path).toBe(first.mountPoint);
    expect(await world.mounts()).toEqual([first.mountPoint]);
    await world.reboot();
    expect(await world.mounts()).toEqual([]);
    const second = await world.runtime.startContainer(id);
    expect(second.count).toBe(1);
    expect((await readConfig(second.bundle)).root.path).toBe(second.mountPoint);
    expect(await world.mounts()).toEqual([second.mountPoint]);
    expect(await readFile(join(workDir, CONFIG_FILE))).toEqual(template);
    expect(await readdir(join(second.mountPoint, "etc"))).toContain("passwd");
  });

  test("R12: the status has the canonical reference and the mount point", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const { id } = await createShell(world, served.name);
    const { mountPoint } = await world.runtime.startContainer(id);
    expect(await world.runtime.pods.containerStatus("shell")).toMatchObject({
      imageRef: `${served.host}/shell@${served.digest}`,
      imageName: served.name,
      state: "running",
      mountPoint,
    });
  });

  test("V63: an image that links /dev elsewhere is refused, and nothing stays mounted", async () => {
    await using served = await serveShellImage({ links: { dev: "/etc" } });
    await using world = await openRuntimeWorld();
    const { id } = await createShell(world, served.name);
    await expect(world.runtime.startContainer(id)).rejects.toMatchObject({
      code: "ERR_RUNTIME_UNSAFE_ROOT",
    });
    expect(await world.mounts()).toEqual([]);
  });

  test("a user that the image does not have is a named error, and nothing stays mounted", async () => {
    await using served = await serveShellImage({ config: { User: "nobody-here" } });
    await using world = await openRuntimeWorld();
    const { id } = await createShell(world, served.name);
    await expect(world.runtime.startContainer(id)).rejects.toMatchObject({
      code: "ERR_RUNTIME_USER_NOT_FOUND",
    });
    expect(await world.mounts()).toEqual([]);
  });
});

describe("createContainer", () => {
  test("R11: a command that cannot be leaves no container", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    await world.runtime.createPodSandbox({ podName: "p" });
    const options = { podId: "p", containerName: "c", imageName: served.name };
    const made = world.runtime.createContainer({ ...options, run: { cwd: "/proc/self/fd/7" } });
    await expect(made).rejects.toMatchObject({ code: "ERR_RUNTIME_INVALID_PROCESS" });
    expect(await world.runtime.pods.listContainers()).toHaveLength(1);
  });

  test("R19: policy is asked again before a container is made from what is here", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    await world.runtime.createPodSandbox({ podName: "p" });
    await reject(world);
    const made = world.runtime.createContainer({
      podId: "p",
      containerName: "c",
      imageName: served.name,
    });
    await expect(made).rejects.toMatchObject({ kind: "PolicyRejected" });
    expect(await world.runtime.pods.listContainers()).toHaveLength(1);
  });

  test("R11: pulls the pause image for a pod, and nothing for a container", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld({ pauseImage: served.name });
    await world.runtime.createPodSandbox({ podName: "p" });
    expect(await world.runtime.pods.containerStatus("p")).toMatchObject({
      imageRef: `${served.host}/shell@${served.digest}`,
    });
    // IS-115
    expect(await world.runtime.images.imageStatus(served.name)).toMatchObject({ pinned: true });
    await using bare = await openRuntimeWorld();
    await bare.runtime.createPodSandbox({ podName: "p" });
    const options = { podId: "p", containerName: "c", imageName: served.name };
    await expect(bare.runtime.createContainer(options)).rejects.toMatchObject({
      kind: "ImageNotFound",
    });
  });
});

async function createShell(world: RuntimeWorld, imageName: string) {
  await world.runtime.images.pull(imageName, {});
  await world.runtime.createPodSandbox({ podName: "p" });
  return world.runtime.createContainer({ podId: "p", containerName: "shell", imageName });
}

function pullElsewhere(world: RuntimeWorld, name: string) {
  const args = ["--conditions=@stowage/source", join(SUPPORT, "pull-once.ts")];
  const child = spawn(process.execPath, [...args, JSON.stringify(world.options), name]);
  const ended = { code: -1, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (ended.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (ended.stderr += chunk.toString()));
  return new Promise<typeof ended>((resolve) => {
    child.once("close", (code) => resolve({ ...ended, code: code ?? -1 }));
  });
}

async function reject(world: RuntimeWorld): Promise<void> {
  const policy = JSON.stringify({ default: [{ type: "reject" }] });
  await writeFile(join(world.path, "policy.json"), policy);
}

async function readConfig(bundle: string): Promise<OciConfig> {
  return JSON.parse(await readFile(join(bundle, CONFIG_FILE), "utf8")) as OciConfig;
}
