/**
 * Runs a bundle with an OCI runtime, to its end.
 *
 * @module
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { RuntimeError } from "../runtime-error.ts";
import type { OciRuntime } from "./oci-runtime.ts";
import { runtimeEnvironment } from "./runtime-environment.ts";

/** What is run, by what. */
export interface BundleRun {
  readonly runtime: OciRuntime;
  /** What the runtime calls the container. */
  readonly id: string;
  readonly bundle: string;
  /** Where the runtime keeps what it knows while the container runs. Volatile. */
  readonly stateRoot: string;
}

/** How it is run. */
export interface RunBundleOptions {
  /** Kills the process. */
  readonly signal?: AbortSignal | undefined;
  /** Standard input, output and error. @defaultValue "inherit" */
  readonly stdio?: StdioOptions | undefined;
  /** Signals to this process that go on to the container's. None, unless told. */
  readonly forwardSignals?: readonly NodeJS.Signals[] | undefined;
  /** Told once the runtime itself runs; the process of the container may not yet. */
  readonly onSpawn?: ((runtime: ChildProcess) => void) | undefined;
}

/** Runtimes that write what goes wrong to standard error beside their log. */
const TALKATIVE: ReadonlySet<string> = new Set(["runc"]);
const LOG_FILE = "runtime.log";
const KILL_TIMEOUT_MS = 10_000;

/**
 * Runs the process of a bundle and waits for its end.
 *
 * @returns its exit code; 128 and the number of the signal that ended it.
 * @throws {@link RuntimeError} `ERR_RUNTIME_COMMAND_NOT_FOUND`, `ERR_RUNTIME_COMMAND_NOT_EXECUTABLE`,
 *   or `ERR_RUNTIME_FAILED` with what the runtime says. Whatever happens, the runtime remembers
 *   nothing of the container afterwards.
 */
export async function runBundle(run: BundleRun, options: RunBundleOptions = {}): Promise<number> {
  const { signal } = options;
  signal?.throwIfAborted();
  const log = join(run.bundle, LOG_FILE);
  await mkdir(run.stateRoot, { recursive: true, mode: 0o700 });
  await rm(log, { force: true });
  try {
    const code = await waitForEnd(run, log, options);
    const complaint = code === 0 ? undefined : await readComplaint(log);
    if (complaint !== undefined) throw failureOf(run.runtime, complaint);
    signal?.throwIfAborted();
    return code;
  } catch (error) {
    // Whatever the runtime says once it was told to kill, this is why.
    signal?.throwIfAborted();
    throw error;
  } finally {
    await forgetContainer(run);
  }
}

/** Kills what still runs of a container, and makes the runtime forget it. What is not there is fine. */
export async function forgetContainer(run: Omit<BundleRun, "bundle">): Promise<void> {
  await callRuntime(run, ["delete", "--force", run.id]);
}

async function waitForEnd(run: BundleRun, log: string, options: RunBundleOptions): Promise<number> {
  const { signal, stdio = "inherit", forwardSignals = [] } = options;
  const child = spawn(run.runtime.path, argumentsOf(run, log), {
    stdio,
    env: runtimeEnvironment(),
  });
  const kill = (): void => void callRuntime(run, ["kill", run.id, "KILL"], child);
  const forward = (name: NodeJS.Signals): void => {
    // A terminal sends these to the runtime by itself, which would pass them on twice.
    const isSent = (name === "SIGINT" || name === "SIGQUIT") && process.stdin.isTTY;
    if (!isSent) child.kill(name);
  };
  for (const name of forwardSignals) process.on(name, forward);
  signal?.addEventListener("abort", kill, { once: true });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("spawn", () => options.onSpawn?.(child));
      child.once("error", (cause) => {
        const message = `${run.runtime.name}: could not be executed`;
        reject(new RuntimeError("ERR_RUNTIME_FAILED", message, { cause }));
      });
      child.once("close", (code, name) => {
        if (code !== null) return resolve(code);
        const message = `${run.runtime.name}: killed by ${name}`;
        reject(new RuntimeError("ERR_RUNTIME_FAILED", message));
      });
    });
  } finally {
    signal?.removeEventListener("abort", kill);
    for (const name of forwardSignals) process.off(name, forward);
  }
}

function argumentsOf(run: BundleRun, log: string): readonly string[] {
  const logOption = run.runtime.name === "crun" ? `file:${log}` : log;
  const global = ["--root", run.stateRoot, "--log", logOption, "--log-format", "json"];
  return [...global, "run", "--bundle", run.bundle, run.id];
}

// Cleaning up: that there is nothing to clean is as good. `child` is killed if the call does not help.
async function callRuntime(
  run: Omit<BundleRun, "bundle">,
  args: readonly string[],
  child?: ChildProcess,
): Promise<void> {
  const call = spawn(run.runtime.path, ["--root", run.stateRoot, ...args], {
    stdio: "ignore",
    env: runtimeEnvironment(),
    timeout: KILL_TIMEOUT_MS,
  });
  const isDone = await new Promise<boolean>((resolve) => {
    call.once("error", () => resolve(false));
    call.once("exit", (code) => resolve(code === 0));
  });
  if (!isDone) child?.kill("SIGKILL");
}

async function readComplaint(log: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(log, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
  const complaints = text.split("\n").flatMap((line) => {
    const entry = parseLine(line);
    return entry?.["level"] === "error" ? [String(entry["msg"])] : [];
  });
  return complaints.length > 0 ? complaints.join("; ") : undefined;
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

// Runtimes say what went wrong in words only. These are those of runc 1.1 and crun 1.8.
function failureOf(runtime: OciRuntime, complaint: string): RuntimeError {
  const message = `${runtime.name}: ${escapeText(complaint, 1024)}`;
  const told = { isTold: TALKATIVE.has(runtime.name) };
  if (/executable file .*not found|exec: .*no such file or directory/i.test(complaint)) {
    return new RuntimeError("ERR_RUNTIME_COMMAND_NOT_FOUND", message, told);
  }
  if (
    /exec: .*(permission denied|is a directory)|open executable|exec format error/i.test(complaint)
  ) {
    return new RuntimeError("ERR_RUNTIME_COMMAND_NOT_EXECUTABLE", message, told);
  }
  return new RuntimeError("ERR_RUNTIME_FAILED", message, told);
}
