import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { ImageExecution } from "@stowage/content";
import {
  createOciConfig,
  findOciRuntime,
  runBundle,
  runFailureExitCode,
  writeBundle,
  writeTemplate,
} from "@stowage/runtime-shim";
import { describe, expect, onTestFinished, test, vi } from "vitest";

import { CAN_MOUNT } from "./support/runtime-world.ts";
import { createScratch, writeHostRoot } from "./support/host-root.ts";
import { HYBRID_CGROUPS, isInstalled, runWhereCrunWorks } from "./support/private-mounts.ts";

const RUNC = CAN_MOUNT && isInstalled("runc");
const CRUN = CAN_MOUNT && isInstalled("crun");

describe.skipIf(!RUNC)(`runBundle${RUNC ? "" : " (needs root and runc)"}`, () => {
  test("gives the exit code of the process, and its output", async () => {
    await using bundle = await createBundle({
      Cmd: ["/bin/sh", "-c", "echo $0 $A; exit 7", "out"],
      Env: ["A=b"],
    });
    const { output, code } = await bundle.run();
    expect({ output, code }).toEqual({ output: "out b\n", code: 7 });
    expect(await readdir(bundle.stateRoot)).toEqual([]);
  });

  test.for([
    ["is not in the image", ["/bin/nope"], "ERR_RUNTIME_COMMAND_NOT_FOUND", 127],
    ["is not in the PATH", ["nope"], "ERR_RUNTIME_COMMAND_NOT_FOUND", 127],
    ["is a directory", ["/etc"], "ERR_RUNTIME_COMMAND_NOT_EXECUTABLE", 126],
    ["may not be executed", ["/etc/text"], "ERR_RUNTIME_COMMAND_NOT_EXECUTABLE", 126],
  ] as const)("names a command that %s", async ([, Cmd, code, exitCode]) => {
    await using bundle = await createBundle({ Cmd });
    const error: unknown = await bundle.run().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(runFailureExitCode(error)).toBe(exitCode);
    expect(await readdir(bundle.stateRoot)).toEqual([]);
  });

  test("A06 S0: a runtime sees nothing of the caller's environment that it has no use for", async () => {
    await using bundle = await createBundle({ Cmd: ["/bin/sh"] });
    const { id, path, stateRoot } = bundle;
    const runtime = { name: "sh", path: join(path, "runtime") };
    await writeFile(runtime.path, `#!/bin/sh\nenv >> ${path}/seen\n`, { mode: 0o755 });
    vi.stubEnv("LD_LIBRARY_PATH", "/nowhere");
    vi.stubEnv("NODE_OPTIONS", "--no-warnings");
    vi.stubEnv("TOKEN", "hunter2");
    vi.stubEnv("TZ", "UTC");
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await runBundle({ runtime, id, bundle: path, stateRoot })).toBe(0);
    const seen = await readFile(join(path, "seen"), "utf8");
    expect(seen.match(/^PATH=/gm)).toHaveLength(2);
    expect(seen.match(/^TZ=UTC$/gm)).toHaveLength(2);
    expect(seen).not.toMatch(/^(LD_|NODE_|TOKEN)/m);
  });

  test("names a runtime that cannot be executed", async () => {
    await using bundle = await createBundle({ Cmd: ["/bin/sh"] });
    const { id, path, stateRoot } = bundle;
    const runtime = { name: "gone", path: "/nowhere/gone" };
    const run = runBundle({ runtime, id, bundle: path, stateRoot }, {});
    await expect(run).rejects.toMatchObject({ code: "ERR_RUNTIME_FAILED" });
  });

  test("V64: makes a working directory that is not there", async () => {
    await using bundle = await createBundle({
      Cmd: ["/bin/sh", "-c", "pwd"],
      WorkingDir: "/made/up",
    });
    expect(await bundle.run()).toEqual({ output: "/made/up\n", code: 0 });
  });

  test("V70: gives the process no new privileges and nothing of the host's", async () => {
    const script =
      "while read a b; do case $a in CapInh:|CapEff:|NoNewPrivs:) echo $b;; esac; done < /proc/self/status; echo /proc/self/fd/*";
    await using bundle = await createBundle({ Cmd: ["/bin/sh", "-c", script] });
    const { output } = await bundle.run();
    expect(output.split("\n").slice(0, 3)).toEqual(["0000000000000000", "00000000800405fb", "1"]);
    expect(output).toContain("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2");
  });

  test("V69: a named user runs as itself, without capabilities", async () => {
    const script =
      "while read a b; do case $a in Uid:|Gid:|Groups:|CapEff:) echo $b;; esac; done < /proc/self/status";
    await using bundle = await createBundle({ Cmd: ["/bin/sh", "-c", script], User: "www" });
    const { output } = await bundle.run();
    expect(output.replaceAll("\t", " ")).toBe("33 33 33 33\n34 34 34 34\n4 34\n0000000000000000\n");
  });

  test("a process that a signal ends counts as 128 and more", async () => {
    await using bundle = await createBundle({ Cmd: ["/bin/sh", "-c", "kill -TERM $$; :"] });
    // The first process of a namespace ignores what it has no handler for.
    expect((await bundle.run()).code).toBe(0);
    await using other = await createBundle({
      Cmd: ["/bin/sh", "-c", "sh -c 'kill -KILL $$'; exit $?"],
    });
    expect((await other.run()).code).toBe(137);
  });

  test("cancelled, kills the process and rejects with the reason", async () => {
    await using bundle = await createBundle({
      Cmd: ["/bin/sh", "-c", "echo up; while :; do :; done"],
    });
    const controller = new AbortController();
    const reason = new Error("enough");
    const run = bundle.run({
      signal: controller.signal,
      onOutput: () => controller.abort(reason),
    });
    await expect(run).rejects.toBe(reason);
    expect(await readdir(bundle.stateRoot)).toEqual([]);
  });

  test("passes a signal on to the process", async () => {
    const script = "trap 'exit 42' USR2; echo up; while :; do :; done";
    await using bundle = await createBundle({ Cmd: ["/bin/sh", "-c", script] });
    const run = bundle.run({
      forwardSignals: ["SIGUSR2"],
      onOutput: () => process.kill(process.pid, "SIGUSR2"),
    });
    expect((await run).code).toBe(42);
    expect(process.listenerCount("SIGUSR2")).toBe(0);
  });

  test("does nothing once its signal has fired", async () => {
    await using bundle = await createBundle({ Cmd: ["/bin/sh"] });
    const reason = new Error("no more");
    await expect(bundle.run({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe.skipIf(!CRUN)(`runBundle with crun${CRUN ? "" : " (needs root and crun)"}`, () => {
  test.for([
    [
      "exits with its own code",
      ["/bin/sh", "-c", "echo $0; pwd; exit 7", "out"],
      7,
      "out\n/made/up\n",
    ],
    ["is not in the image", ["/bin/nope"], 127, ""],
    ["is not in the PATH", ["nope"], 127, ""],
    ["is a directory", ["/etc"], 126, ""],
    ["may not be executed", ["/etc/text"], 126, ""],
  ] as const)("a command that %s", async ([, Cmd, status, stdout]) => {
    await using bundle = await createBundle({ Cmd, WorkingDir: "/made/up" });
    const { id, path, stateRoot } = bundle;
    const script = join(import.meta.dirname, "support/run-once.ts");
    const ended = runWhereCrunWorks(script, "crun", id, path, stateRoot);
    expect(ended).toMatchObject({ status, stdout });
    expect(await readdir(stateRoot)).toEqual([]);
  });
});

describe("findOciRuntime", () => {
  test("takes the one that is asked for before the environment's", async () => {
    await using scratch = await createScratch();
    await writeFile(join(scratch.path, "fast"), "#!/bin/sh\n", { mode: 0o755 });
    const env = { PATH: scratch.path, STOWAGE_RUNTIME: "slow" };
    const { runtime } = await findOciRuntime({ runtime: "fast", env });
    expect(runtime).toEqual({ name: "fast", path: join(scratch.path, "fast") });
    await expect(findOciRuntime({ env })).rejects.toMatchObject({
      code: "ERR_RUNTIME_NOT_INSTALLED",
      message: expect.stringContaining("slow"),
    });
  });

  test.runIf(HYBRID_CGROUPS && CRUN && RUNC)(
    "says why crun cannot work on a host with hybrid cgroups",
    async () => {
      await expect(findOciRuntime({ runtime: "crun" })).rejects.toMatchObject({
        code: "ERR_RUNTIME_UNUSABLE",
        message: expect.stringContaining("hybrid cgroups"),
      });
      const { runtime, passedOver } = await findOciRuntime({ env: { PATH: "" } });
      expect(runtime.name).toBe("runc");
      expect(passedOver.map((one) => one.runtime.name)).toEqual(["crun"]);
    },
  );
});

async function createBundle(image: ImageExecution) {
  const scratch = await createScratch();
  const dirs = {
    workDir: join(scratch.path, "work"),
    runDir: join(scratch.path, "run"),
    mountPoint: join(scratch.path, "root"),
  };
  for (const path of Object.values(dirs)) await mkdir(path);
  await writeHostRoot(dirs.mountPoint);
  await writeFile(join(dirs.mountPoint, "etc/passwd"), "www:x:33:34::/:\n");
  await writeFile(join(dirs.mountPoint, "etc/group"), "adm:x:4:www\n");
  await writeFile(join(dirs.mountPoint, "etc/text"), "text", { mode: 0o644 });
  const id = `stowage-test-${scratch.path.slice(-6)}`;
  await writeTemplate(
    dirs.workDir,
    createOciConfig(id, { config: image, rootfs: { type: "layers", diff_ids: [] } }),
  );
  const bundle = await writeBundle(dirs);
  const stateRoot = join(scratch.path, "state");
  return {
    id,
    path: bundle,
    stateRoot,
    async run(
      options: {
        readonly signal?: AbortSignal;
        readonly forwardSignals?: readonly NodeJS.Signals[];
        readonly onOutput?: () => void;
      } = {},
    ) {
      const { runtime } = await findOciRuntime({ runtime: "runc" });
      let output = "";
      const code = await runBundle(
        { runtime, id, bundle, stateRoot },
        {
          ...options,
          stdio: ["ignore", "pipe", "pipe"],
          onSpawn: (child) => {
            child.stdout?.on("data", (chunk: Buffer) => {
              output += chunk.toString();
              options.onOutput?.();
            });
            child.stderr?.resume();
          },
        },
      );
      return { output, code };
    },
    [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
  };
}
