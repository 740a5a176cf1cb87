import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type Decision, runStepped, type Step, WHAT_STEPPING_NEEDS } from "../src/step-tracer.ts";

const NEEDS = WHAT_STEPPING_NEEDS === "" ? "" : ` (needs ${WHAT_STEPPING_NEEDS})`;

const IN_TWO_THREADS = `
  const { mkdirSync, writeFileSync } = require("node:fs");
  const { Worker } = require("node:worker_threads");
  const [, watched, elsewhere] = process.argv;
  mkdirSync(watched + "/first");
  mkdirSync(elsewhere + "/unseen");
  const worker = new Worker(
    "require('node:fs').renameSync(process.env.W + '/first', process.env.W + '/second')",
    { eval: true, env: { W: watched } },
  );
  worker.on("exit", () => writeFileSync(watched + "/last", "text"));
`;

describe.skipIf(NEEDS !== "")(`runStepped${NEEDS}`, () => {
  test("tells every change below its directories, in whichever thread, and no other", async () => {
    const { steps, code, watched } = await stepThrough(IN_TWO_THREADS);
    expect(code).toBe(0);
    expect(steps.map(({ call, path }) => `${call} ${path.slice(watched.length)}`)).toEqual([
      "mkdir /first",
      "rename /second",
      "openat /last",
      expect.stringMatching(/^p?write(64)? \/last$/),
    ]);
  });

  test("tells what a child process changes", async () => {
    const script = `require("node:child_process").execFileSync("mkdir", [process.argv[1] + "/a b"])`;
    const { steps, watched } = await stepThrough(script);
    expect(steps).toEqual([{ at: 1, call: "mkdir", path: `${watched}/a b` }]);
  });

  test("kills before the call takes effect", async () => {
    await using folder = await tempDir();
    const make = (name: string) => `require("node:fs").mkdirSync(process.argv[1] + "/${name}");`;
    const script = `${make("one")}${make("two")}${make("three")}`;
    const { code } = await runStepped({
      words: [process.execPath, "-e", script, folder.path],
      env: {},
      directories: [folder.path],
      decide: ({ at }) => (at === 2 ? "kill" : "go"),
    });
    expect(code).toBe(128 + constants.signals.SIGKILL);
    expect(["one", "two", "three"].map((name) => existsSync(join(folder.path, name)))).toEqual([
      true,
      false,
      false,
    ]);
  });

  test.for([
    ["an error", -constants.errno.ENOSPC, "ENOSPC"],
    ["success", 0, "none"],
  ] as const)("answers a call with %s without making it", async ([, answer, printed]) => {
    const script = `
      try {
        require("node:fs").mkdirSync(process.argv[1] + "/made");
        process.stdout.write("none");
      } catch (error) {
        process.stdout.write(error.code);
      }`;
    const { stdout, made } = await stepThrough(script, () => ({ answer }));
    expect({ stdout, made }).toEqual({ stdout: printed, made: false });
  });
});

async function stepThrough(
  script: string,
  decide?: (step: Step) => Decision,
): Promise<{
  readonly steps: readonly Step[];
  readonly code: number;
  readonly stdout: string;
  readonly watched: string;
  readonly made: boolean;
}> {
  await using watched = await tempDir();
  await using elsewhere = await tempDir();
  const ended = await runStepped({
    words: [process.execPath, "-e", script, watched.path, elsewhere.path],
    env: { PATH: process.env["PATH"] ?? "" },
    directories: [watched.path],
    ...(decide && { decide }),
  });
  return { ...ended, watched: watched.path, made: existsSync(join(watched.path, "made")) };
}
