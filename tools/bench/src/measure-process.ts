import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** A program and what it is called with. */
export interface BenchCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Processes that do a part of its work: what they take counts as well. */
  readonly daemons?: readonly number[];
}

/** What a program is started with: its path and its first arguments. */
export type ProgramWords = readonly [program: string, ...args: readonly string[]];

/** What one run took. */
export interface ProcessCost {
  readonly milliseconds: number;
  /** Of the processors, by it, its children and its daemons; the kernel counts in steps of 10 ms. */
  readonly cpuMs: number;
  /** The most memory that was resident at a time, in it, its children and its daemons. */
  readonly peakBytes: number;
}

const LOOK_EVERY_MS = 10;
/** To find a program's children takes a look at each of its threads. */
const CHILDREN_EVERY_MS = 50;
const TICK_MS = 10;

/** Calls a program that takes some words to start with further ones. */
export function commandOf(
  [program, ...first]: ProgramWords,
  ...args: readonly string[]
): BenchCommand {
  return { program, args: [...first, ...args] };
}

/**
 * Runs a program to its end.
 *
 * @throws Error with what it said, if it fails.
 */
export async function measureProcess(command: BenchCommand): Promise<ProcessCost> {
  const { program, args, env, daemons = [] } = command;
  for (const pid of daemons) forgetPeak(pid);
  const cpuBefore = cpuOfChildren() + sum(daemons.map(cpuOf));
  const started = performance.now();
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  let own = 0;
  let together = 0;
  let below: readonly number[] = [];
  let lookedAt = Number.NEGATIVE_INFINITY;
  // The kernel keeps the high-water mark itself, so that only the last moments can be missed.
  const look = setInterval(() => {
    own = Math.max(own, memoryOf(child.pid, "VmHWM"));
    if (performance.now() - lookedAt >= CHILDREN_EVERY_MS) {
      lookedAt = performance.now();
      below = descendantsOf(child.pid);
    }
    if (below.length === 0) return;
    const resident = [child.pid, ...below].map((pid) => memoryOf(pid, "VmRSS"));
    together = Math.max(together, sum(resident));
  }, LOOK_EVERY_MS);
  const [code] = (await once(child, "close")) as [number | null];
  const milliseconds = performance.now() - started;
  clearInterval(look);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${complaints}`);
  const cpuMs = cpuOfChildren() + sum(daemons.map(cpuOf)) - cpuBefore;
  const shared = sum(daemons.map((pid) => memoryOf(pid, "VmHWM")));
  return { milliseconds, cpuMs, peakBytes: Math.max(own, together) + shared };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What the children of this process took that have ended, and theirs. */
function cpuOfChildren(): number {
  const times = statTimes("self");
  return ((times[2] ?? 0) + (times[3] ?? 0)) * TICK_MS;
}

function cpuOf(pid: number): number {
  return sum(statTimes(String(pid))) * TICK_MS;
}

/** utime, stime, cutime and cstime. @see proc(5), /proc/pid/stat */
function statTimes(pid: string): readonly number[] {
  const stat = readProc(`${pid}/stat`);
  // The program's name, in parentheses, may hold spaces.
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15)
    .map(Number);
}

function memoryOf(pid: number | undefined, field: "VmHWM" | "VmRSS"): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readProc(`${pid}/status`));
  return Number(line?.[1] ?? 0) * 1024;
}

/** The kernel has a child with the thread that started it, whichever that was. */
function descendantsOf(pid: number | undefined): readonly number[] {
  const lists = threadsOf(pid).map((thread) => readProc(`${pid}/task/${thread}/children`));
  const children = lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number));
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** None, once the process has ended. */
function threadsOf(pid: number | undefined): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Sets the high-water mark to what is resident now. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Empty, once the process has ended. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return "";
  }
}
