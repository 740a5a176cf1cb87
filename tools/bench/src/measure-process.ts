import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

/** A program and what it is called with. */
export interface BenchCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What one run took. */
export interface ProcessCost {
  readonly milliseconds: number;
  /** The most memory that was resident at a time. */
  readonly peakBytes: number;
}

const LOOK_EVERY_MS = 10;

/**
 * Runs a program to its end.
 *
 * @throws Error with what it said, if it fails.
 */
export async function measureProcess(command: BenchCommand): Promise<ProcessCost> {
  const { program, args, env } = command;
  const started = performance.now();
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  let peakBytes = 0;
  // The kernel keeps the high-water mark itself, so that only the last moments can be missed.
  const look = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOf(child.pid));
  }, LOOK_EVERY_MS);
  const [code] = (await once(child, "close")) as [number | null];
  const milliseconds = performance.now() - started;
  clearInterval(look);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${complaints}`);
  return { milliseconds, peakBytes };
}

function peakOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    // It has ended in the meantime.
    return 0;
  }
}
