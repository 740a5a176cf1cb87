/**
 * Runs a program and decides about each system call by which it changes something.
 *
 * @module
 */
import { execFile, spawn } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";

import { findPeer, requirePeer } from "@stowage/testkit";

/**
 * A call that is about to change something below the watched directories, or to mount; where that was
 * asked for, also one that is about to read there.
 */
export interface Step {
  /** The first step of a run is 1. All threads and children count together. */
  readonly at: number;
  /** The name of the system call. */
  readonly call: string;
  /** What it changes, with bytes that are not plain text escaped; empty where it has no path. */
  readonly path: string;
}

/**
 * What becomes of a step: it happens, the program is killed before it does, it is left out and the
 * program gets an answer all the same, such as the negated number of an error; or, where it reads or
 * writes so many bytes, it does so with fewer.
 */
export type Decision = "go" | "kill" | { readonly answer: number } | { readonly atMost: number };

/** What is to be run. */
export interface SteppedCommand {
  /** The program and its arguments. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute paths without links in them; what changes elsewhere is no step. */
  readonly directories: readonly string[];
  /** Whether reading is a step as well. @defaultValue false */
  readonly withReads?: boolean;
  /** The program stands still until it is decided. Everything goes unless told. */
  readonly decide?: (step: Step, soFar: RunOutput) => Decision | Promise<Decision>;
}

/** What a program has printed. */
export interface RunOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** How a run ended. */
export interface SteppedRun extends RunOutput {
  readonly steps: readonly Step[];
  /** 128 and the number of the signal, where one ended it. */
  readonly code: number;
}

const SOURCE = join(import.meta.dirname, "step-tracer.c");
const CACHE = join(import.meta.dirname, "../node_modules/.cache");

/** Why programs can not be stepped through here, for the name of a test; empty where they can. */
export const WHAT_STEPPING_NEEDS: string =
  process.platform !== "linux" || process.arch !== "x64"
    ? "Linux on x86-64"
    : findPeer("gcc") === undefined
      ? "gcc"
      : "";

/** Compiles the tracer unless it is there; answers its path. */
export async function buildTracer(): Promise<string> {
  const program = join(CACHE, `step-tracer-${hash("sha256", await readFile(SOURCE)).slice(0, 16)}`);
  if (existsSync(program)) return program;
  await mkdir(CACHE, { recursive: true });
  const built = `${program}.${process.pid}`;
  await promisify(execFile)(requirePeer("gcc"), ["-O2", "-Wall", "-o", built, SOURCE]);
  await rename(built, program);
  return program;
}

/** Runs a program step by step, to its end. */
export async function runStepped(command: SteppedCommand): Promise<SteppedRun> {
  const { words, env, directories, withReads = false, decide = () => "go" } = command;
  const tracer = await buildTracer();
  const options = withReads ? ["--reads"] : [];
  const child = spawn(tracer, [...options, ...directories, "--", ...words], {
    env,
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => (output[stream] += text));
  }
  const ended = once(child, "close") as Promise<[number | null, string | null]>;
  const [told, decisions] = child.stdio.slice(3) as unknown as [Readable, Writable];
  // Whoever ends in the middle of an answer shows in the exit code.
  decisions.on("error", () => {});
  const steps: Step[] = [];
  for await (const line of createInterface({ input: told })) {
    const space = line.indexOf(" ");
    const step = { at: steps.length + 1, call: line.slice(0, space), path: line.slice(space + 1) };
    steps.push(step);
    decisions.write(`${wordFor(await decide(step, output))}\n`);
  }
  const [code, signal] = await ended;
  if (code === null) throw new Error(`the tracer was ended by ${signal}: ${output.stderr}`);
  return { steps, code, ...output };
}

function wordFor(decision: Decision): string {
  if (decision === "go") return "c";
  if (decision === "kill") return "k";
  return "answer" in decision ? `r${decision.answer}` : `m${decision.atMost}`;
}
