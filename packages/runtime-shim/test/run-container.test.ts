import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, rename, symlink } from "node:fs/promises";
import { join } from "node:path";

import { runFailureExitCode } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { findExecutable } from "../src/run-config/oci-runtime.ts";
import { endProcesses } from "../src/run-config/runtime-state.ts";
import { isInstalled, runWhereCrunWorks } from "./support/private-mounts.ts";
import {
  CAN_MOUNT,
  mountsUnder,
  openRuntimeWorld,
  type RuntimeWorld,
} from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

const SUPPORT = join(import.meta.dirname, "support");
const RUNNABLE = CAN_MOUNT && isInstalled("runc");
const WHY_NOT = RUNNABLE ? "" : " (needs root and runc)";

describe.skipIf(!RUNNABLE)(`runContainer${WHY_NOT}`, () => {
  test("with runc: the process's output and exit code, and nothing is left", async () => {
    await using served = await serveShellImage({ config: { Env: ["GREETING=hello"] } });
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const { code, output } = await run(world, served.name, [
      "/bin/sh",
      "-c",
      "echo $GREETING; exit 5",
    ]);
    expect({ code, output }).toEqual({ code: 5, output: "hello\n" });
    await expectNothingLeft(world);
  });

  test.skipIf(!isInstalled("crun"))("with crun: the same", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const ended = runWhereCrunWorks(
      join(SUPPORT, "run-image.ts"),
      JSON.stringify(world.options),
      JSON.stringify({
        image: served.name,
        runtime: "crun",
        run: { command: ["/bin/sh", "-c", "echo from crun; exit 6"], user: "www" },
      }),
    );
    expect(ended).toEqual({ status: 6, stdout: "from crun\n", stderr: "" });
    await expectNothingLeft(world);
  });

  test("runs the image's own command as the user that the image names", async () => {
    const script =
      "while read a b; do case $a in Uid:|Groups:) echo $b;; esac; done < /proc/self/status; echo > /mine || echo refused";
    await using served = await serveShellImage({
      config: { User: "www", Cmd: ["/bin/sh", "-c", script] },
    });
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const { output } = await run(world, served.name);
    expect(output.replaceAll("\t", " ")).toBe("33 33 33 33\n4 34\nrefused\n");
  });

  test.for([
    ["not found", ["nope"], 127],
    ["not executable", ["/etc"], 126],
  ] as const)(
    "a command that is %s: podman's exit code, and nothing is left",
    async ([, command, code]) => {
      await using served = await serveShellImage();
      await using world = await openRuntimeWorld();
      await world.runtime.images.pull(served.name, {});
      const error: unknown = await run(world, served.name, command).catch(
        (thrown: unknown) => thrown,
      );
      expect(runFailureExitCode(error)).toBe(code);
      await expectNothingLeft(world);
    },
  );

  test("cancelled while it runs: the reason, and nothing is left", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const controller = new AbortController();
    const reason = new Error("enough");
    const command = ["/bin/sh", "-c", "echo up; while :; do :; done"];
    const ended = run(world, served.name, command, {
      signal: controller.signal,
      onOutput: () => controller.abort(reason),
    });
    await expect(ended).rejects.toBe(reason);
    await expectNothingLeft(world);
  });

  test("a runner that is killed leaves what removing the pod ends", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const script = join(SUPPORT, "run-image.ts");
    const command = ["/bin/sh", "-c", "echo up; while :; do :; done"];
    const runner = spawn(process.execPath, [
      "--conditions=@stowage/source",
      script,
      JSON.stringify(world.options),
      JSON.stringify({ image: served.name, runtime: "runc", run: { command } }),
    ]);
    const closed = once(runner, "close");
    await once(runner.stdout, "data");
    runner.kill("SIGKILL");
    const [pod] = await world.runtime.pods.listPods();
    expect(await readdir(join(world.path, "run/oci/runc"))).toHaveLength(1);
    await world.runtime.pods.removePod(pod?.id ?? "");
    // The pipes close when the last process that has them is gone: the container's.
    await closed;
    expect(await readdir(join(world.path, "run/oci/runc"))).toEqual([]);
    await expectNothingLeft(world);
  });

  test("and so it does by a runtime that is on nobody's PATH; of one that is gone, a warning tells", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const runtime = join(world.path, "own-runc");
    await symlink((await findExecutable("runc", process.env["PATH"] ?? "")) ?? "", runtime);
    const runner = spawn(process.execPath, [
      "--conditions=@stowage/source",
      join(SUPPORT, "run-image.ts"),
      JSON.stringify(world.options),
      JSON.stringify({
        image: served.name,
        runtime,
        run: { command: ["/bin/sh", "-c", "echo up; while :; do :; done"] },
      }),
    ]);
    const closed = once(runner, "close");
    await once(runner.stdout, "data");
    runner.kill("SIGKILL");
    const [pod] = await world.runtime.pods.listPods();
    const [id = ""] = await readdir(join(world.path, "run/oci/own-runc"));
    await rename(runtime, `${runtime}-aside`);
    const missing: string[] = [];
    await endProcesses(join(world.path, "run"), id, process.env, (name) => missing.push(name));
    expect(missing).toEqual(["own-runc"]);
    await rename(`${runtime}-aside`, runtime);
    await world.runtime.pods.removePod(pod?.id ?? "");
    await closed;
    expect(await readdir(join(world.path, "run/oci/own-runc"))).toEqual([]);
    await expectNothingLeft(world);
  });

  test("R12: in a pod that is there, which stays", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    await world.runtime.createPodSandbox({ podName: "p" });
    const { code } = await run(world, served.name, ["/bin/sh", "-c", ":"], { pod: "p" });
    expect(code).toBe(0);
    expect((await world.runtime.pods.podStatus("p")).containerIds).toHaveLength(1);
  });

  test("two containers of one image at once, each with its own files", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const command = (text: string): readonly string[] => [
      "/bin/sh",
      "-c",
      `echo ${text} > /mine; read got < /mine; echo $got`,
    ];
    const runs = await Promise.all([
      run(world, served.name, command("a")),
      run(world, served.name, command("b")),
    ]);
    expect(runs.map(({ output }) => output)).toEqual(["a\n", "b\n"]);
    await expectNothingLeft(world);
  });
});

async function run(
  world: RuntimeWorld,
  image: string,
  command?: readonly string[],
  options: {
    readonly signal?: AbortSignal;
    readonly pod?: string;
    readonly onOutput?: () => void;
  } = {},
) {
  let output = "";
  const code = await world.runtime.runContainer({
    image,
    run: { command },
    runtime: "runc",
    stdio: ["ignore", "pipe", "pipe"],
    signal: options.signal,
    pod: options.pod,
    onSpawn: (child) => {
      child.stdout?.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        options.onOutput?.();
      });
      child.stderr?.resume();
    },
  });
  return { code, output };
}

async function expectNothingLeft(world: RuntimeWorld): Promise<void> {
  expect(await mountsUnder(world.path)).toEqual([]);
  expect(await world.runtime.pods.listContainers()).toEqual([]);
  expect(await readdir(join(world.path, "root/containers"))).toEqual([]);
  expect(world.warnings).toEqual([]);
}
