import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

import { createMemoryContentStore, type Descriptor } from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";
import { hostShellEntries, putImage, tempDir } from "@stowage/testkit";

import { BUILT_MAIN } from "./built-main.ts";

/** What came of a command. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A store, a policy and a registry of their own, and the command line over them. */
export interface CliWorld extends AsyncDisposable {
  readonly path: string;
  readonly host: string;
  /** `HOST/shell:1`, which is there from the start. */
  readonly image: string;
  readonly digest: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** As {@link run}, and fails unless the command ends with 0. Resolves to stdout without its end. */
  ok(...args: string[]): Promise<string>;
  start(args: readonly string[], options?: RunOptions): Running;
  /** As {@link start}, on a terminal; all that it shows is its stdout. */
  startOnTerminal(args: readonly string[]): Running;
  put(name: string, tag: string, spec: Parameters<typeof putImage>[1]): Promise<Descriptor>;
}

export interface RunOptions {
  /** For standard input, which then ends; `null` leaves it open. */
  readonly input?: string | null;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What runs the command: `["sh", "-c", '"$@" >/dev/full', "sh"]`, or another program's words. */
  readonly wrap?: readonly string[];
}

/** A command on its way. */
export interface Running {
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly outcome: Promise<Outcome>;
  /** Resolves when stderr has shown `text`. */
  readonly shown: (text: string) => Promise<void>;
  /** Resolves to stdout when it has shown `text`. */
  readonly printed: (text: string) => Promise<string>;
  /** Writes to standard input, which was left open. */
  readonly type: (text: string) => void;
  /** Resolves when the command waits for its standard input. */
  untilReading(): Promise<void>;
}

const NODE = [process.execPath];
// Hundreds of commands are started, and most of what each does is to compile itself.
const COMPILE_CACHE = join(import.meta.dirname, "../../node_modules/.cache/compile");

export async function openCliWorld(): Promise<CliWorld> {
  const folder = await tempDir("stowage-cli-");
  const { path } = folder;
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  const server = createRegistryServer({ content, tags });
  const { host } = await server.listen();
  const put: CliWorld["put"] = async (name, tag, spec) => {
    const descriptor = await putImage(content, spec);
    await tags.put(name, descriptor, tag);
    return descriptor;
  };
  const { digest } = await put("shell", "1", {
    layers: [{ entries: hostShellEntries() }],
    config: { Cmd: ["/bin/sh", "-c", "echo hello from the image"], Env: ["PATH=/bin"] },
  });
  await writeFile(join(path, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
  await writeFile(join(path, "auth.json"), "{}");
  await writeFile(join(path, "registries.conf"), "");
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: path,
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    STOWAGE_ROOT: join(path, "root"),
    STOWAGE_RUN_ROOT: join(path, "run"),
    STOWAGE_POLICY: join(path, "policy.json"),
    STOWAGE_AUTHFILE: join(path, "auth.json"),
    STOWAGE_REGISTRIES_CONF: join(path, "registries.conf"),
  };
  const start = (args: readonly string[], options: RunOptions = {}) =>
    spawnCli(args, { ...env, ...options.env }, options);
  const run: CliWorld["run"] = (args, options) => start(args, options).outcome;
  return {
    path,
    host,
    image: `${host}/shell:1`,
    digest,
    env,
    run,
    start,
    startOnTerminal: (args) => spawnOnTerminal(args, env),
    put,
    async ok(...args) {
      const { code, stdout, stderr } = await run(args);
      if (code !== 0) throw new Error(`stowage ${args.join(" ")} ended with ${code}: ${stderr}`);
      return stdout.trimEnd();
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      for (const point of (await mountsBelow(path)).toReversed())
        await once(spawn("umount", ["-l", point]), "close");
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Mount points below a folder, as the kernel has them. */
export async function mountsBelow(path: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.split("\n").flatMap((line) => {
    const point = line.split(" ")[4];
    return point?.startsWith(`${path}/`) ? [point] : [];
  });
}

function spawnCli(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  { input = "", wrap = [] }: RunOptions,
): Running {
  const words = [...wrap, ...NODE, BUILT_MAIN, ...args];
  return watch(spawn(words[0] ?? "", words.slice(1), { env }), input);
}

/** `script` of util-linux gives a program a terminal, and types there what it is given itself. */
function spawnOnTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Running {
  const command = [...NODE, BUILT_MAIN, ...args].map((word) => `'${word}'`).join(" ");
  const flags = ["--quiet", "--return", "--echo", "never", "--command", command, "/dev/null"];
  return watch(spawn("script", flags, { env }), null);
}

function watch(child: ChildProcessWithoutNullStreams, input: string | null): Running {
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => {});
  if (input !== null) child.stdin.end(input);
  const outcome = once(child, "close").then(([code]) => ({
    code: code as number | null,
    stdout,
    stderr,
  }));
  return {
    kill: (signal) => void child.kill(signal),
    outcome,
    untilReading: () => untilReading(child),
    shown: async (text) => void (await untilContains(child, "stderr", () => stderr, text)),
    printed: (text) => untilContains(child, "stdout", () => stdout, text),
    type: (text) => void child.stdin.write(text),
  };
}

// Whatever a process waits for is in the kernel's list of what its poll watches.
async function untilReading({ pid, exitCode }: ChildProcess): Promise<void> {
  for (;;) {
    if (exitCode !== null) throw new Error("ended before it read its input");
    for (const fd of await readdir(`/proc/${pid}/fdinfo`)) {
      const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, "utf8").catch(() => "");
      if (/^tfd:\s+0\s/m.test(info)) return;
    }
    await setImmediate();
  }
}

function untilContains(
  child: ChildProcessWithoutNullStreams,
  stream: "stderr" | "stdout",
  soFar: () => string,
  text: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = () => soFar().includes(text) && resolve(soFar());
    child[stream].on("data", look);
    child.on("close", () => reject(new Error(`never shown: ${text}; but: ${soFar()}`)));
    look();
  });
}
